//! `failover`: who holds the control-plane address, who follows, and after how many seconds.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::failover::{Failover, Seconds, predict};
use crate::inventory::Inventory;

use super::InventoryArg;
use super::check::Format;

/// Say who takes over the control-plane address, and how long each failure takes, from the inventory alone
///
/// The same as a page is served at /pxe/failover.html.
#[derive(Debug, clap::Args)]
pub struct FailoverArgs {
    #[command(flatten)]
    inventory: InventoryArg,

    /// How to say it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: FailoverArgs) -> anyhow::Result<ExitCode> {
    let inventory = args.inventory.read()?;
    let failover = predict(&inventory);
    let text = match args.format {
        Format::Text => to_text(&failover, &inventory),
        Format::Json => serde_json::to_string_pretty(&failover)? + "\n",
    };
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn to_text(failover: &Failover, inventory: &Inventory) -> String {
    let vips: Vec<String> = inventory.vips.control_planes.iter().map(ToString::to_string).collect();
    let mut text = format!("{} is held by the first of these that is healthy:\n\n", vips.join(" and "));
    for (place, candidate) in failover.order.iter().enumerate() {
        let bar = "█".repeat(usize::from(candidate.priority) / 5);
        let name = candidate.host.as_str();
        let (place, priority) = (place + 1, candidate.priority);
        let _ = writeln!(
            text,
            "  {place}. {name:<16} priority {priority:>3} {bar:<20} skew {:.2} s",
            candidate.skew_seconds
        );
    }
    if failover.predictions.is_empty() {
        return text + "\nThere is one control plane: nobody can take over.\n";
    }
    let _ = writeln!(text, "\n  {:<26}{:>14}{:>14}{:>14}", "what fails", "noticed", "taken over", "together");
    for prediction in &failover.predictions {
        let (detection, election, total) = (prediction.detection, prediction.election, prediction.total);
        let name = prediction.failure.name();
        let _ =
            writeln!(text, "  {name:<26}{:>14}{:>14}{:>14}", range(detection), range(election), range(total));
    }
    text.push('\n');
    failover.formulas(inventory).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    text
}

fn range(seconds: Seconds) -> String {
    if seconds.most == 0.0 {
        "at once".to_owned()
    } else if (seconds.most - seconds.least).abs() < 0.005 {
        format!("{:.1} s", seconds.most)
    } else {
        format!("{:.1}–{:.1} s", seconds.least, seconds.most)
    }
}
