//! Rate limits in constant memory.
//!
//! Each limit is a generic cell rate algorithm (GCRA): per key, the instant at which its budget is full again. The instants stand in
//! two rows of [`SLOTS`] cells, the key's place in each given by a keyed hash, and the smaller of the two counts (a count-min sketch
//! with conservative update). So a flood of addresses, forged or not, takes no memory; what it can do is to make strangers who share
//! both cells with floods a little poorer, and with keyed hashes nobody can choose whom. Crates for this keep a map entry per key and
//! need to be swept (docs/decisions/0010).

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

/// Cells of a row: two rows of 8 bytes each, 512 KiB a limit.
const SLOTS: usize = 32_768;

/// A limit per key.
pub(crate) struct Limiter {
    /// Nanoseconds that one call costs.
    cost_ns: u64,
    /// Nanoseconds of calls that may come at once.
    burst_ns: u64,
    rows: [Box<[AtomicU64]>; 2],
    keyed: RandomState,
    started: Instant,
}

impl Limiter {
    /// `calls` in `per`, and `burst` of them at once after a pause. `None` where there is no limit (`calls` is 0).
    pub(crate) fn new(calls: u32, per: Duration, burst: u32) -> Option<Limiter> {
        if calls == 0 {
            return None;
        }
        let cost_ns = (per.as_nanos() as u64 / u64::from(calls)).max(1);
        let row = || (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Some(Limiter {
            cost_ns,
            burst_ns: cost_ns.saturating_mul(u64::from(burst.max(1))),
            rows: [row(), row()],
            keyed: RandomState::new(),
            started: Instant::now(),
        })
    }

    /// Takes one call from the budget; `Err`: how long until there is one.
    pub(crate) fn take(&self, key: impl Hash) -> Result<(), Duration> {
        self.take_at(key, self.started.elapsed())
    }

    /// Whether there is a call left, without taking it.
    pub(crate) fn peek(&self, key: impl Hash) -> Result<(), Duration> {
        let cells = self.cells(key);
        let full = cells[0].load(Ordering::Relaxed).min(cells[1].load(Ordering::Relaxed));
        self.next(full, self.started.elapsed()).map(|_| ())
    }

    fn take_at(&self, key: impl Hash, elapsed: Duration) -> Result<(), Duration> {
        let cells = self.cells(key);
        loop {
            let (first, second) = (cells[0].load(Ordering::Acquire), cells[1].load(Ordering::Acquire));
            let (smaller, larger, full) = if first <= second { (0, 1, first) } else { (1, 0, second) };
            let next = self.next(full, elapsed)?;
            // The larger one first: between the two steps the smaller one is still the same for everybody, and one of them wins it.
            cells[larger].fetch_max(next, Ordering::AcqRel);
            if cells[smaller].compare_exchange(full, next, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Ok(());
            }
        }
    }

    /// When the budget would be full after one more call.
    fn next(&self, full: u64, elapsed: Duration) -> Result<u64, Duration> {
        let now = elapsed.as_nanos() as u64;
        let next = full.max(now).saturating_add(self.cost_ns);
        match next.saturating_sub(now).checked_sub(self.burst_ns) {
            None | Some(0) => Ok(next),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }

    fn cells(&self, key: impl Hash) -> [&AtomicU64; 2] {
        let hash = self.keyed.hash_one(key);
        // Two halves of one hash are two independent places.
        [&self.rows[0][hash as u32 as usize % SLOTS], &self.rows[1][(hash >> 32) as usize % SLOTS]]
    }
}

/// All limits of a server.
pub(crate) struct Rates {
    pub(crate) address: Option<Limiter>,
    pub(crate) write_key: Option<Limiter>,
    pub(crate) token: Option<Limiter>,
    pub(crate) sign_in: Option<Limiter>,
    pub(crate) limit_loopback: bool,
    pub(crate) proxies: Vec<IpAddr>,
}

/// Seconds of a rate that may come at once after a pause.
const BURST_S: u32 = 5;

impl Rates {
    pub(crate) fn new(limits: &crate::HttpLimits) -> Rates {
        let second = |calls: u32| Limiter::new(calls, Duration::from_secs(1), calls.saturating_mul(BURST_S));
        Rates {
            address: second(limits.rate_address),
            write_key: second(limits.rate_write_key),
            token: second(limits.rate_token),
            sign_in: Limiter::new(limits.failed_sign_ins, Duration::from_secs(60), limits.failed_sign_ins),
            limit_loopback: limits.limit_loopback,
            proxies: limits.trusted_proxies.clone(),
        }
    }

    /// Whom a request is counted for; `None`: this machine itself, which is not limited unless asked for.
    pub(crate) fn counted(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let address = client(peer?, headers, &self.proxies);
        (self.limit_loopback || !address.is_loopback()).then(|| network(address))
    }
}

/// The address behind trusted proxies: each appends whom it heard from, so the last one that is no proxy of ours is whom the
/// outermost of ours has seen. What stands before it, anybody may have written.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.contains(&peer) {
        return peer;
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut nearest = peer;
    for hop in forwarded.iter().rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
        if !proxies.contains(&nearest) {
            break;
        }
    }
    nearest
}

/// A household has a /64 of IPv6: its addresses are one.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_then_the_rate() {
        let limiter = Limiter::new(10, SECOND, 20).unwrap();
        let at = Duration::from_secs(100);
        let taken = (0..100).take_while(|_| limiter.take_at("a", at).is_ok()).count();
        assert_eq!(taken, 20);
        assert_eq!(limiter.take_at("a", at).unwrap_err(), Duration::from_millis(100));
        assert!(limiter.take_at("b", at).is_ok(), "another key has its own");
        assert!(limiter.take_at("a", at + Duration::from_millis(100)).is_ok());
        assert!(limiter.take_at("a", at + Duration::from_millis(100)).is_err());
        let taken = (0..100).take_while(|_| limiter.take_at("a", at + Duration::from_secs(60)).is_ok()).count();
        assert_eq!(taken, 20, "a pause fills the budget, and no more");
    }

    #[test]
    fn ten_thousand_strangers_at_their_limit_do_not_close_the_door_to_most_others() {
        let limiter = Limiter::new(1, SECOND, 1).unwrap();
        for stranger in 0..10_000 {
            let _ = limiter.take_at(stranger, SECOND);
        }
        let refused = (10_000..20_000).filter(|newcomer| limiter.take_at(newcomer, SECOND).is_err()).count();
        // Both cells taken: below (20,000 / 32,768)², on average over the newcomers.
        assert!(refused < 2_500, "{refused} of 10,000");
    }

    #[test]
    fn threads_do_not_get_more_together() {
        let limiter = Limiter::new(1, Duration::from_secs(3_600), 1_000).unwrap();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1_000).filter(|_| limiter.take_at("a", SECOND).is_ok()).count())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1_000);
    }

    #[test]
    fn nobody_chooses_the_address_he_is_counted_for() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let visitor: IpAddr = "203.0.113.7".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "198.51.100.1, 203.0.113.7".parse().unwrap());
        assert_eq!(client(proxy, &headers, &[proxy]), visitor, "what the visitor wrote himself comes first");
        assert_eq!(client(visitor, &headers, &[proxy]), visitor, "no proxy of ours");
        assert_eq!(client(proxy, &headers, &[]), proxy);
        headers.append("x-forwarded-for", "10.0.0.1".parse().unwrap());
        assert_eq!(client(proxy, &headers, &[proxy]), visitor, "through two of ours");
        headers.insert("x-forwarded-for", "nonsense".parse().unwrap());
        assert_eq!(client(proxy, &headers, &[proxy]), proxy);
        assert_eq!(client("::ffff:203.0.113.7".parse().unwrap(), &headers, &[]), visitor);
        assert_eq!(network("2001:db8::1:2:3:4".parse().unwrap()), "2001:db8::".parse::<IpAddr>().unwrap());
    }
}
