fn main() {
    let file = std::env::args().nth(1).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let (inventory, report) = pxe_serve::inventory::parse(&file, &bytes);
    print!("{}", report.to_text(false));
    println!("{:?}", inventory.is_some());
}
