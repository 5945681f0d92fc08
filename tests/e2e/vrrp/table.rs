//! The table of docs/failover.md, predicted beside measured, written when `PXE_SERVE_FAILOVER_TABLE` names the file.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::measure::Measured;

const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->";

/// By lab and failure, in the order of the table.
type Rows = BTreeMap<(String, &'static str), Vec<Measured>>;

/// One more measurement; the table is written anew with each, so that the last one leaves it whole.
pub fn record(lab: &str, measured: Measured) {
    static ROWS: Mutex<Rows> = Mutex::new(Rows::new());
    let Ok(file) = std::env::var("PXE_SERVE_FAILOVER_TABLE") else { return };
    let mut rows = ROWS.lock().unwrap();
    rows.entry((lab.to_owned(), measured.failure.name())).or_default().push(measured);
    // A relative name is one below the repository.
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the file has the marker of the table's begin");
    let (_, after) = rest.split_once(END).expect("the file has the marker of the table's end");
    std::fs::write(&file, format!("{before}{BEGIN}\n{}\n{END}{after}", table(&rows))).unwrap();
}

fn table(rows: &Rows) -> String {
    let mut text = "| lab | what fails | predicted, s | measured, s | median, s | times |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for ((lab, failure), all) in rows {
        let mut seconds: Vec<f64> = all.iter().map(|measured| measured.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        // The node that follows differs, and with it the skew.
        let predicted = range(
            all.iter().map(|measured| measured.predicted.least).fold(f64::INFINITY, f64::min),
            all.iter().map(|measured| measured.predicted.most).fold(0.0, f64::max),
        );
        let measured = range(seconds[0], seconds[seconds.len() - 1]);
        let median = seconds[(seconds.len() - 1) / 2];
        text.push_str(&format!(
            "| {lab} | {failure} | {predicted} | {measured} | {median:.2} | {} |\n",
            seconds.len()
        ));
    }
    text
}

fn range(least: f64, most: f64) -> String {
    if most - least < 0.005 { format!("{least:.2}") } else { format!("{least:.2} – {most:.2}") }
}
