//! Tables of text: every row has as many cells as the header, and both ways to read them agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = react_store::Csv::parse(bytes.to_vec(), Path::new("a.csv")) else { return };
    let (mut cells, columns) = (0, table.names().len());
    table.each(|row, column, cell| {
        assert_eq!((row, column), (cells / columns, cells % columns));
        assert!(cell.len() <= bytes.len());
        cells += 1;
    });
    assert_eq!(cells, table.rows() * columns);
    for column in 0..columns.min(8) {
        assert_eq!(table.column(column).count(), table.rows());
    }
});
