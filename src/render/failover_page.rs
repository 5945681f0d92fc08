//! The page that shows who takes over the control-plane address, and when: a table and a drawing to scale.

use minijinja::value::Serde;
use minijinja::{Value, context};

use crate::catalogue::Audience;
use crate::failover::{Failover, predict};

use super::Kitchen;
use super::context::Contexts;
use super::templates::Compiled;

/// The width of the drawing's time axis, in its own units.
const AXIS: f64 = 600.0;

pub fn render(kitchen: &mut Kitchen<'_>, compiled: &Compiled<'_>, contexts: &Contexts<'_>) {
    let inventory = &kitchen.site.inventory;
    let failover = predict(inventory);
    let context = context! {
        rows => rows(&failover),
        ticks => ticks(&failover),
        formulas => failover.formulas(inventory),
        order => Value::from(Serde(&failover.order)),
        all_vips => inventory.vips.control_planes.iter().map(|vip| vip.to_string()).collect::<Vec<_>>(),
        ..contexts.site().clone()
    };
    kitchen.render(compiled, "pages/failover.html.j2", "pxe/failover.html", &context, Audience::Everyone);
}

/// The axis ends at the next whole second.
fn scale(failover: &Failover) -> f64 {
    let longest = failover.predictions.iter().map(|prediction| prediction.total.most).fold(1.0, f64::max);
    AXIS / longest.ceil()
}

/// Each failure with its bars: surely noticed after, perhaps only after, then the election.
fn rows(failover: &Failover) -> Vec<Value> {
    let scale = scale(failover);
    let rows = failover.predictions.iter().enumerate().map(|(place, prediction)| {
        let (noticed, total) = (prediction.detection, prediction.total);
        context! {
            name => prediction.failure.name(),
            y => 34 + place * 34,
            least => format!("{:.1}", total.least),
            most => format!("{:.1}", total.most),
            noticed_least => format!("{:.1}", noticed.least),
            noticed_most => format!("{:.1}", noticed.most),
            noticed_width => format!("{:.1}", noticed.most * scale),
            sure_width => format!("{:.1}", total.least * scale),
            total_width => format!("{:.1}", total.most * scale),
        }
    });
    rows.collect()
}

fn ticks(failover: &Failover) -> Vec<Value> {
    let scale = scale(failover);
    let seconds = (AXIS / scale).round() as u32;
    (0..=seconds)
        .map(|second| context! { second, x => format!("{:.1}", f64::from(second) * scale) })
        .collect()
}
