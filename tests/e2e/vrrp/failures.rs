//! One failure after another.

use super::alone;
use super::cluster::{Cluster, Shape};
use super::measure::Break;

#[test]
fn first() {
    let Some(_alone) = alone() else { return };
    let mut cluster = Cluster::elected(Shape::default());
    for how in [
        Break::ApiStops,
        Break::ApiAnswers(500),
        Break::CableIsPulled,
        Break::KeepalivedStops,
        Break::ApiHangs,
    ] {
        let before = cluster.holder().unwrap();
        let measured = cluster.fails_over(how);
        how.is_repaired(&mut cluster, before);
        cluster.wait_until_ready(before);
        println!("{measured:?}");
    }
}
