//! RedDB's topology rows, R-67 to R-81, and the bytes of its sample.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use pgspool::clock::Moment;
use pgspool::lsn::Lsn;
use pgspool::replicas::topology::{Caller, Endpoint, LagEstimate, Topology, TopologyError};
use pgspool::replicas::{ReplicaSnapshot, Replicas};

const NOW: u64 = 1_700_000_000_000;
const REGIONS: [&str; 3] = ["us", "eu", "ap"];

/// `count` replicas at position `applied`, seen last `silent_ms` ago.
fn replicas(count: usize, applied: u64, silent_ms: u64) -> Vec<ReplicaSnapshot> {
    let registry = Replicas::new(1);
    let seen = Moment::at_ms(NOW - silent_ms);
    for (n, region) in REGIONS.iter().enumerate().take(count) {
        let id = format!("replica-{n}:5050");
        registry.register(&id, Some(region), Lsn::new(applied), seen);
    }
    registry.snapshot()
}

fn primary() -> Endpoint {
    Endpoint {
        addr: "primary:5050".to_owned(),
        region: "us".to_owned(),
    }
}

fn show(replicas: &[ReplicaSnapshot], caller: Caller, epoch: u64) -> Topology {
    show_lag(replicas, caller, epoch, 100, None)
}

fn show_lag(
    replicas: &[ReplicaSnapshot],
    caller: Caller,
    epoch: u64,
    head: u64,
    records_per_ms: Option<f64>,
) -> Topology {
    let estimate = LagEstimate { records_per_ms };
    let now = Moment::at_ms(NOW);
    Topology::advertise(
        replicas,
        caller,
        epoch,
        primary(),
        Lsn::new(head),
        estimate,
        now,
    )
}

fn lag_of(applied: u64, head: u64, rate: Option<f64>) -> u32 {
    let shown = show_lag(
        &replicas(1, applied, 0),
        Caller::Authenticated,
        1,
        head,
        rate,
    );
    shown.replicas[0].lag_ms
}

#[test]
fn r67_gate_allows_authenticated() {
    assert!(Caller::Authenticated.may_see_replicas());
}

#[test]
fn r68_gate_blocks_anonymous_and_denied() {
    assert!(!Caller::Anonymous.may_see_replicas());
    assert!(!Caller::Denied.may_see_replicas());
}

#[test]
fn r69_anonymous_gets_primary_only() {
    for count in [0, 1, 3] {
        let shown = show(&replicas(count, 100, 0), Caller::Anonymous, 42);
        assert_eq!((shown.epoch, shown.primary), (42, primary()));
        assert!(shown.replicas.is_empty());
    }
}

#[test]
fn r70_authenticated_gets_full_list() {
    let shown = show(&replicas(3, 100, 0), Caller::Authenticated, 7);
    let regions: Vec<_> = shown
        .replicas
        .iter()
        .map(|r| r.endpoint.region.as_str())
        .collect();
    assert_eq!((shown.epoch, regions), (7, REGIONS.to_vec()));
}

#[test]
fn r71_authenticated_empty_registry_returns_no_replicas() {
    let shown = show(&[], Caller::Authenticated, 1);
    assert_eq!(shown.primary, primary());
    assert!(shown.replicas.is_empty());
}

#[test]
fn r72_denied_collapses_to_primary_only() {
    assert!(
        show(&replicas(3, 100, 0), Caller::Denied, 1)
            .replicas
            .is_empty()
    );
}

#[test]
fn r73_recent_ack_is_healthy() {
    for silent in [0, 100, 5000] {
        let shown = show(&replicas(1, 100, silent), Caller::Authenticated, 1);
        assert!(shown.replicas[0].healthy, "{silent}");
    }
}

#[test]
fn r74_stale_ack_is_unhealthy() {
    let shown = show(&replicas(1, 100, 5001), Caller::Authenticated, 1);
    assert!(!shown.replicas[0].healthy);
}

#[test]
fn r75_lag_unknown_reports_u32_max() {
    assert_eq!(lag_of(50, 500, None), u32::MAX);
}

#[test]
fn r76_lag_zero_when_replica_caught_up() {
    assert_eq!(lag_of(500, 500, None), 0);
    assert_eq!(lag_of(501, 500, Some(1.0)), 0);
}

#[test]
fn r77_lag_uses_progress_estimate_when_provided() {
    assert_eq!(lag_of(400, 500, Some(10.0)), 10);
    assert_eq!(
        lag_of(0, u64::MAX, Some(10.0)),
        u32::MAX,
        "what does not fit"
    );
}

#[test]
fn r78_lag_zero_rate_falls_back_to_u32_max() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(lag_of(400, 500, Some(rate)), u32::MAX, "{rate}");
    }
}

#[test]
fn r79_propagates_epoch_verbatim() {
    for epoch in [0, 1, 42, u64::MAX] {
        assert_eq!(show(&[], Caller::Authenticated, epoch).epoch, epoch);
    }
}

#[test]
fn r80_output_round_trips_through_canonical_encoder() {
    let registry = Replicas::new(1);
    registry.register("a", None, Lsn::new(5), Moment::at_ms(NOW));
    registry.register("b", Some("eu"), Lsn::new(100), Moment::at_ms(0));
    registry.register("c", Some("us"), Lsn::new(100), Moment::at_ms(NOW));
    registry.set_rebootstrapping("b", true);
    let shown = show(&registry.snapshot(), Caller::Authenticated, 13);
    assert_eq!(shown.replicas[0].endpoint.region, "unknown");
    assert_eq!(Topology::decode(&shown.encode()), Ok(Some(shown)));
}

#[test]
fn r81_output_round_trips_through_hello_ack_wrapper() {
    let shown = show(&replicas(3, 100, 0), Caller::Authenticated, 21);
    assert_eq!(Topology::from_hello(&shown.to_hello()), Ok(Some(shown)));
    assert_eq!(Topology::from_hello("not base64!"), Ok(None));
}

#[test]
fn the_sample_is_encoded_byte_for_byte() {
    let registry = Replicas::new(1);
    registry.register("r:1", Some("eu"), Lsn::new(90), Moment::at_ms(NOW));
    let primary = Endpoint {
        addr: "p:1".to_owned(),
        region: "us".to_owned(),
    };
    let shown = Topology::advertise(
        &registry.snapshot(),
        Caller::Authenticated,
        7,
        primary,
        Lsn::new(100),
        LagEstimate::default(),
        Moment::at_ms(NOW),
    );
    let sample = "0134000000070000000000000003000000703a310200000075730100000003000000723a3102000000\
                  657501ffffffff5a0000000000000000";
    assert_eq!(hex::encode(shown.encode()), sample);
}

#[test]
fn odd_bytes_are_errors_or_ignored_and_never_a_panic() {
    let shown = show(&replicas(2, 100, 0), Caller::Authenticated, 3);
    let bytes = shown.encode();
    for len in 0..bytes.len() {
        let wanted = if len < 5 {
            TopologyError::Truncated
        } else {
            TopologyError::BodyLengthMismatch
        };
        assert_eq!(Topology::decode(&bytes[..len]), Err(wanted));
    }
    let mut newer = bytes.clone();
    newer[0] = 2;
    assert_eq!(Topology::decode(&newer), Ok(None));
    // Without the trailer, as an older version wrote it.
    let mut older = bytes[..bytes.len() - 2].to_vec();
    older[1] -= 2;
    assert_eq!(Topology::decode(&older), Ok(Some(shown)));
    let mut broken = bytes.clone();
    broken[17] = 0xFF;
    assert_eq!(Topology::decode(&broken), Err(TopologyError::InvalidText));
    let mut long = bytes;
    long[13..17].copy_from_slice(&[0xFF; 4]);
    assert_eq!(Topology::decode(&long), Err(TopologyError::BodyEndsEarly));
}
