//! What must hold of a core at any moment, told from its books.

use cift_book::{Core, Ladder};

use crate::seen::Resting;

fn prices(ladder: &Ladder) -> Vec<i64> {
    ladder.iter().map(|level| level.price).collect()
}

/// No book is crossed, levels are in order and never empty, and all sums add up.
///
/// # Panics
/// One of that does not hold.
pub fn hold(core: &Core) {
    let mut lives = 0;
    for book in core.books() {
        let (bids, asks) = (prices(&book.bids), prices(&book.asks));
        assert!(bids.windows(2).all(|pair| pair[0] > pair[1]), "bids are out of order: {bids:?}");
        assert!(asks.windows(2).all(|pair| pair[0] < pair[1]), "asks are out of order: {asks:?}");
        if let (Some(bid), Some(ask)) = (bids.first(), asks.first()) {
            assert!(bid < ask, "the book is crossed: {bid} and {ask}");
        }
        let mut records = Vec::new();
        core.write_orders(book, &mut records);
        let mut orders = Resting::all(&records).into_iter();
        let mut open = 0;
        for (number, ladder) in book.ladders().into_iter().enumerate() {
            for level in ladder.iter() {
                let queue: Vec<_> = orders.by_ref().take(level.orders as usize).collect();
                assert!(!queue.is_empty(), "a level without orders at {}", level.price);
                for order in &queue {
                    assert!((1..=order.quantity).contains(&order.remaining), "{order:?}");
                    assert_eq!(if number < 2 { order.price } else { order.stop_price }, level.price, "{order:?}");
                    assert_eq!((order.waiting, order.visible == 0), (number >= 2, number >= 2), "{order:?}");
                    assert!(order.visible <= order.remaining, "{order:?}");
                    let last = if order.waiting { book.last_price } else { 0 };
                    let beyond = if order.side == 1 { order.stop_price > last } else { order.stop_price < last };
                    assert!(last == 0 || beyond, "a stop waits behind the last price, {last}: {order:?}");
                    assert!(order.expiry == 0 || order.expiry > core.time(), "an order outlived its time: {order:?}");
                }
                assert_eq!(queue.iter().map(|order| order.visible).sum::<u64>(), level.quantity);
                assert_eq!(queue.iter().map(|order| order.remaining).sum::<u64>(), level.total);
                open += level.total;
                lives += queue.len();
            }
        }
        assert_eq!(orders.next(), None, "an order in no level");
        assert_eq!(open, book.open);
    }
    assert_eq!(lives, core.len());
}
