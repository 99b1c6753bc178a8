//! The core for Python: records in a buffer in, records in bytes out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cift_book as book;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

/// A buffer's bytes, held without the GIL: those of `bytes` as they are, of anything else a copy.
enum Input {
    Held(PyBackedBytes),
    Copied(Vec<u8>),
}

impl<'py> FromPyObject<'py> for Input {
    fn extract_bound(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.downcast::<PyBytes>() {
            return Ok(Self::Held(bytes.clone().into()));
        }
        PyBuffer::<u8>::get(object)?.to_vec(object.py()).map(Self::Copied)
    }
}

impl AsRef<[u8]> for Input {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Held(bytes) => bytes,
            Self::Copied(bytes) => bytes,
        }
    }
}

type Rows = Vec<(i64, u64, u32)>;

#[pyclass(frozen)]
#[derive(Default)]
struct Core(Mutex<book::Core>);

impl Core {
    /// The core; the GIL must not be held while one waits for it.
    fn locked(&self) -> MutexGuard<'_, book::Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut book::Core) -> T + Send) -> T {
        py.allow_threads(|| work(&mut self.locked()))
    }

    fn with_book<T: Send>(
        &self,
        py: Python<'_>,
        instrument: u32,
        work: impl FnOnce(&book::Core, &book::Book) -> T + Send,
    ) -> PyResult<T> {
        self.with(py, |core| core.book(instrument).map(|book| work(core, book)))
            .ok_or_else(|| PyKeyError::new_err(format!("no instrument {instrument} is defined")))
    }
}

#[pymethods]
impl Core {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn apply<'py>(&self, py: Python<'py>, commands: Input) -> PyResult<Bound<'py, PyBytes>> {
        let mut events = Vec::new();
        self.with(py, |core| core.apply(commands.as_ref(), &mut events))
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &events))
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.with(py, |core| core.snapshot()))
    }

    #[staticmethod]
    fn restore(py: Python<'_>, snapshot: Input) -> PyResult<Self> {
        py.allow_threads(|| book::Core::restore(snapshot.as_ref()))
            .map(|core| Self(Mutex::new(core)))
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn state_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.with(py, |core| core.state_hash()))
    }

    fn depth(&self, py: Python<'_>, instrument: u32, levels: usize) -> PyResult<(Rows, Rows)> {
        let rows = |ladder: &book::Ladder| {
            ladder.iter().take(levels).map(|level| (level.price, level.quantity, level.orders)).collect()
        };
        self.with_book(py, instrument, |_, book| (rows(&book.bids), rows(&book.asks)))
    }

    fn orders<'py>(&self, py: Python<'py>, instrument: u32) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        self.with_book(py, instrument, |core, book| core.write_orders(book, &mut out))?;
        Ok(PyBytes::new(py, &out))
    }

    fn order<'py>(&self, py: Python<'py>, order_id: u64) -> Option<Bound<'py, PyBytes>> {
        self.with(py, |core| core.order(order_id).map(|order| order.encode())).map(|bytes| PyBytes::new(py, &bytes))
    }

    fn instrument(&self, py: Python<'_>, instrument: u32) -> PyResult<(u8, i64, u64, i64, i64, i64)> {
        self.with_book(py, instrument, |_, book| {
            let terms = &book.terms;
            (terms.state as u8, terms.tick, terms.lot, terms.low, terms.high, book.last_price)
        })
    }

    fn instruments(&self, py: Python<'_>) -> Vec<u32> {
        self.with(py, |core| core.books().map(|book| book.id).collect())
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.with(py, |core| core.len())
    }

    #[getter]
    fn sequence(&self, py: Python<'_>) -> u64 {
        self.with(py, |core| core.sequence())
    }

    #[getter]
    fn timestamp(&self, py: Python<'_>) -> u64 {
        self.with(py, |core| core.time())
    }

    #[getter]
    fn last_order_id(&self, py: Python<'_>) -> u64 {
        self.with(py, |core| core.last_order())
    }

    #[getter]
    fn last_trade_id(&self, py: Python<'_>) -> u64 {
        self.with(py, |core| core.last_trade())
    }
}

/// The codes of a record's field as an `enum.IntEnum`.
fn add_codes(module: &Bound<'_, PyModule>, name: &str, codes: &[(&str, u8)]) -> PyResult<()> {
    let py = module.py();
    let members = codes.to_vec();
    let named = PyDict::new(py);
    named.set_item("module", module.name()?)?;
    module.add(name, py.import("enum")?.getattr("IntEnum")?.call((name, members), Some(&named))?)
}

#[pymodule]
fn cift_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("COMMAND_SIZE", book::COMMAND_SIZE)?;
    module.add("COMMAND_FORMAT", book::COMMAND_FORMAT)?;
    module.add("INSTRUMENT_FORMAT", book::INSTRUMENT_FORMAT)?;
    module.add("EVENT_SIZE", book::EVENT_SIZE)?;
    module.add("EVENT_FORMAT", book::EVENT_FORMAT)?;
    module.add("ORDER_SIZE", book::ORDER_SIZE)?;
    module.add("ORDER_FORMAT", book::ORDER_FORMAT)?;
    module.add("MAX_PRICE", book::MAX_PRICE)?;
    module.add("MAX_QUANTITY", book::MAX_QUANTITY)?;
    module.add("MAX_OPEN", book::MAX_OPEN)?;
    module.add("MAX_SLICES", book::MAX_SLICES)?;
    module.add("MAX_INSTRUMENT", book::MAX_INSTRUMENT)?;
    add_codes(module, "CommandKind", book::CommandKind::ALL)?;
    add_codes(module, "EventKind", book::EventKind::ALL)?;
    add_codes(module, "Side", book::Side::ALL)?;
    add_codes(module, "OrderType", book::OrderType::ALL)?;
    add_codes(module, "TimeInForce", book::TimeInForce::ALL)?;
    add_codes(module, "SelfTrade", book::SelfTrade::ALL)?;
    add_codes(module, "Flag", book::Flag::ALL)?;
    add_codes(module, "InstrumentState", book::InstrumentState::ALL)?;
    add_codes(module, "Reason", book::Reason::ALL)?;
    module.add_class::<Core>()
}
