//! One side of a book: levels in order of price, each a queue of orders in order of time.

use std::collections::BTreeMap;

use crate::order::{Orders, NIL};

#[derive(Clone, Debug)]
pub struct Level {
    pub price: i64,
    /// Displayed, lots.
    pub quantity: u64,
    /// Displayed and hidden, lots.
    pub total: u64,
    pub orders: u32,
    pub head: u32,
    tail: u32,
}

/// Which price comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

#[derive(Clone, Debug)]
pub struct Ladder {
    direction: Direction,
    levels: Vec<Level>,
    free: Vec<u32>,
    index: BTreeMap<i64, u32>,
}

impl Ladder {
    pub fn new(direction: Direction) -> Self {
        Self { direction, levels: Vec::new(), free: Vec::new(), index: BTreeMap::new() }
    }

    /// Prices as keys of which the first is the lowest.
    fn key(&self, price: i64) -> i64 {
        match self.direction {
            Direction::Ascending => price,
            Direction::Descending => -price,
        }
    }

    pub fn best(&self) -> Option<u32> {
        self.index.first_key_value().map(|(_, level)| *level)
    }

    pub fn level(&self, level: u32) -> &Level {
        &self.levels[level as usize]
    }

    /// Whether `price` comes no later than `limit` in this ladder.
    pub fn within(&self, price: i64, limit: i64) -> bool {
        self.key(price) <= self.key(limit)
    }

    /// Levels, best first.
    pub fn iter(&self) -> impl Iterator<Item = &Level> {
        self.index.values().map(|level| self.level(*level))
    }

    fn at(&mut self, price: i64) -> u32 {
        let key = self.key(price);
        if let Some(level) = self.index.get(&key) {
            return *level;
        }
        let fresh = Level { price, quantity: 0, total: 0, orders: 0, head: NIL, tail: NIL };
        let level = match self.free.pop() {
            Some(level) => {
                self.levels[level as usize] = fresh;
                level
            }
            None => {
                self.levels.push(fresh);
                (self.levels.len() - 1) as u32
            }
        };
        self.index.insert(key, level);
        level
    }

    /// Put an order at the end of the queue of `price`; its `remaining` and `visible` are counted as they stand.
    pub fn push(&mut self, orders: &mut Orders, place: u32, price: i64) -> u32 {
        let level = self.at(price);
        self.append(orders, place, level);
        level
    }

    fn append(&mut self, orders: &mut Orders, place: u32, at: u32) {
        let level = &mut self.levels[at as usize];
        let order = &mut orders[place];
        (order.level, order.previous, order.next) = (at, level.tail, NIL);
        level.quantity += order.visible;
        level.total += order.remaining;
        level.orders += 1;
        let before = std::mem::replace(&mut level.tail, place);
        if before == NIL {
            level.head = place;
        } else {
            orders[before].next = place;
        }
    }

    fn unlink(&mut self, orders: &mut Orders, place: u32) -> u32 {
        let order = &orders[place];
        let (at, before, after) = (order.level, order.previous, order.next);
        let level = &mut self.levels[at as usize];
        level.quantity -= order.visible;
        level.total -= order.remaining;
        level.orders -= 1;
        if before == NIL {
            level.head = after;
        } else {
            orders[before].next = after;
        }
        if after == NIL {
            level.tail = before;
        } else {
            orders[after].previous = before;
        }
        at
    }

    /// Take an order out of its queue, and the level away if it was the last; the level as it is then.
    pub fn remove(&mut self, orders: &mut Orders, place: u32) -> Level {
        let at = self.unlink(orders, place);
        let level = self.levels[at as usize].clone();
        if level.orders == 0 {
            self.index.remove(&self.key(level.price));
            self.free.push(at);
        }
        level
    }

    /// Lessen an order in its place, what it displays and what it has in all.
    pub fn lessen(&mut self, orders: &mut Orders, place: u32, visible: u64, remaining: u64) -> &Level {
        let order = &mut orders[place];
        order.visible -= visible;
        order.remaining -= remaining;
        let level = &mut self.levels[order.level as usize];
        level.quantity -= visible;
        level.total -= remaining;
        level
    }

    /// Show the next slice of an order, at the end of its level.
    pub fn refresh(&mut self, orders: &mut Orders, place: u32) -> &Level {
        let at = self.unlink(orders, place);
        orders[place].visible = orders[place].slice();
        self.append(orders, place, at);
        &self.levels[at as usize]
    }
}
