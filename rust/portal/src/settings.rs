//! What a portal is told; Python has checked it (`flurry_fast/config/portal.py`).

use std::collections::HashMap;
use std::time::Duration;

/// What becomes of API keys that are not in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    Accept,
    Refuse,
    /// So many different ones are accepted, the first that come.
    Cap(usize),
}

/// A token bucket: reports a second, and how many may come at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    pub burst: f64,
}

/// How much of a peer's address goes into a record's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    None,
    /// The first 24 bits of IPv4, 48 of IPv6.
    Network,
    Whole,
}

/// One registered API key.
#[derive(Debug, Clone, Copy, Default)]
pub struct App {
    /// Its own rate in place of `Settings::key_rate`.
    pub rate: Option<Rate>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub max_body: usize,
    pub max_head: usize,
    pub max_headers: usize,
    pub connections: usize,
    /// Bytes of bodies that were read and are not answered for.
    pub memory: usize,
    /// From the accept, or the answer before, to the last byte of a head.
    pub head_timeout: Duration,
    /// From the head of a request to the last byte of its body.
    pub body_timeout: Duration,
    /// Bytes a second, after `grace`.
    pub min_rate: u64,
    pub grace: Duration,
    /// From the last byte of a body to its answer.
    pub answer_timeout: Duration,
    /// How long a request waits for memory before it is closed.
    pub room_timeout: Duration,
    /// How long a connection is held that is closed without an answer before
    /// its body was read: agents repeat a post at once.
    pub hold: Duration,
    pub keep_alive_requests: u32,
    /// Header `protocol` in each record.
    pub protocol_header: bool,
    pub address_header: Address,
    /// Take the peer's address from the last entry of X-Forwarded-For.
    pub forwarded: bool,
    /// API key -> shards, for apps that are too hot for one partition.
    pub spread: HashMap<Box<[u8]>, u32>,
    pub apps: HashMap<Box<[u8]>, App>,
    pub unknown: Unknown,
    pub key_rate: Option<Rate>,
    pub address_rate: Option<Rate>,
    /// One of so many requests is told in the access log; 0: none.
    pub log_every: u64,
}
