//! The codes that records carry: one byte each, by name for Rust and for Python.

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $code:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$note])* $variant = $code,)* }

        impl $name {
            /// Every code with the name that the binding gives it.
            pub const ALL: &'static [(&'static str, u8)] = &[$(($text, $code)),*];

            pub const fn of(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// What a command asks for.
    CommandKind {
        New = 1 "NEW",
        Cancel = 2 "CANCEL",
        Replace = 3 "REPLACE",
        MassCancel = 4 "MASS_CANCEL",
        Define = 5 "DEFINE",
        SetState = 6 "SET_STATE",
        Clock = 7 "CLOCK",
    }
}

codes! {
    /// What happened.
    EventKind {
        Accepted = 1 "ACCEPTED",
        Rejected = 2 "REJECTED",
        Trade = 3 "TRADE",
        Rested = 4 "RESTED",
        Canceled = 5 "CANCELED",
        Expired = 6 "EXPIRED",
        Replaced = 7 "REPLACED",
        Triggered = 8 "TRIGGERED",
        Restated = 9 "RESTATED",
        MassCanceled = 10 "MASS_CANCELED",
        Instrument = 11 "INSTRUMENT",
    }
}

codes! {
    Side {
        Buy = 1 "BUY",
        Sell = 2 "SELL",
    }
}

codes! {
    OrderType {
        Limit = 1 "LIMIT",
        Market = 2 "MARKET",
        Stop = 3 "STOP",
        StopLimit = 4 "STOP_LIMIT",
    }
}

codes! {
    TimeInForce {
        Day = 1 "DAY",
        Gtc = 2 "GTC",
        Gtd = 3 "GTD",
        Ioc = 4 "IOC",
        Fok = 5 "FOK",
    }
}

codes! {
    /// Self-trade prevention: what is done when an order would meet one of its own account. The incoming order's mode counts.
    SelfTrade {
        Allow = 0 "ALLOW",
        CancelNewest = 1 "CANCEL_NEWEST",
        CancelOldest = 2 "CANCEL_OLDEST",
        CancelBoth = 3 "CANCEL_BOTH",
        Decrement = 4 "DECREMENT",
    }
}

codes! {
    /// Bits of the flags byte.
    Flag {
        PostOnly = 1 "POST_ONLY",
    }
}

codes! {
    InstrumentState {
        Open = 1 "OPEN",
        Halted = 2 "HALTED",
        Closed = 3 "CLOSED",
    }
}

codes! {
    /// Why: of a rejection (1 to 63), of a cancel, an expiry or a restatement (64 and up).
    Reason {
        None = 0 "NONE",
        UnknownKind = 1 "UNKNOWN_KIND",
        UnknownInstrument = 2 "UNKNOWN_INSTRUMENT",
        NotOpen = 3 "NOT_OPEN",
        InvalidCode = 4 "INVALID_CODE",
        InvalidCombination = 5 "INVALID_COMBINATION",
        InvalidAccount = 6 "INVALID_ACCOUNT",
        InvalidOrderId = 7 "INVALID_ORDER_ID",
        InvalidPrice = 8 "INVALID_PRICE",
        OffTick = 9 "OFF_TICK",
        OutsideBand = 10 "OUTSIDE_BAND",
        InvalidStopPrice = 11 "INVALID_STOP_PRICE",
        InvalidQuantity = 12 "INVALID_QUANTITY",
        OffLot = 13 "OFF_LOT",
        InvalidDisplay = 14 "INVALID_DISPLAY",
        InvalidExpiry = 15 "INVALID_EXPIRY",
        BookFull = 16 "BOOK_FULL",
        WouldCross = 17 "WOULD_CROSS",
        UnknownOrder = 18 "UNKNOWN_ORDER",
        QuantityTooLow = 19 "QUANTITY_TOO_LOW",
        InvalidInstrument = 20 "INVALID_INSTRUMENT",
        NotEmpty = 21 "NOT_EMPTY",
        Requested = 64 "REQUESTED",
        MassCancel = 65 "MASS_CANCEL",
        SelfTrade = 66 "SELF_TRADE",
        Unfilled = 67 "UNFILLED",
        NotFillable = 68 "NOT_FILLABLE",
        TimeReached = 69 "TIME_REACHED",
        SessionClosed = 70 "SESSION_CLOSED",
        Refreshed = 71 "REFRESHED",
    }
}

impl Side {
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

impl TimeInForce {
    /// Whether an order of this kind may wait in the book.
    pub const fn rests(self) -> bool {
        matches!(self, Self::Day | Self::Gtc | Self::Gtd)
    }
}
