//! The book for Python: plain integers in, tuples out.

use cift_book as core;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

fn raised(error: core::Error) -> PyErr {
    match error {
        core::Error::ZeroPrice => PyValueError::new_err("price must be at least one tick"),
        core::Error::ZeroQuantity => PyValueError::new_err("quantity must be at least one lot"),
        core::Error::UnknownOrder => PyKeyError::new_err("no such order rests in the book"),
    }
}

fn side(buy: bool) -> core::Side {
    if buy {
        core::Side::Buy
    } else {
        core::Side::Sell
    }
}

type Trade = (u64, u64, u64, u64, u64);

#[pyclass]
#[derive(Default)]
struct Book(core::Book);

#[pymethods]
impl Book {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// `(order id, remaining lots, [(sequence, maker, taker, price, quantity)])`
    fn submit(&mut self, buy: bool, price: u64, quantity: u64) -> PyResult<(u64, u64, Vec<Trade>)> {
        let outcome = self.0.submit(side(buy), price, quantity).map_err(raised)?;
        let trades = outcome.trades.iter().map(|t| (t.sequence, t.maker, t.taker, t.price, t.quantity)).collect();
        Ok((outcome.id, outcome.remaining, trades))
    }

    /// The lots that the order still had.
    fn cancel(&mut self, id: u64) -> PyResult<u64> {
        self.0.cancel(id).map_err(raised)
    }

    /// `[(price, quantity, orders)]`, best first.
    fn depth(&self, buy: bool, levels: usize) -> Vec<(u64, u64, usize)> {
        self.0.depth(side(buy), levels)
    }
}

#[pymodule]
fn cift_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Book>()
}
