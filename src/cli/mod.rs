pub mod butane;
