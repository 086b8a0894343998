use super::*;

const SYSTEM: u64 = 7;

fn here() -> Here {
    Here {
        received_upto: Lsn::new(1000),
        is_new: false,
        system_id: SYSTEM,
        timeline: 2,
    }
}

fn new() -> Here {
    Here {
        received_upto: Lsn::ZERO,
        is_new: true,
        system_id: 0,
        timeline: 0,
    }
}

fn slot(confirmed: u64) -> Option<SlotThere> {
    Some(SlotThere {
        confirmed_flush_lsn: Lsn::new(confirmed),
        lost: None,
        not_ours: None,
    })
}

fn there() -> There {
    There {
        system_id: SYSTEM,
        timeline: 2,
        history: switches(&[(1, 500)]),
        is_standby: false,
        end: Lsn::new(2000),
        slot: slot(900),
    }
}

fn switches(list: &[(u64, u64)]) -> Vec<TimelineSwitch> {
    let switch = |&(timeline, at): &(u64, u64)| TimelineSwitch {
        timeline,
        at: Lsn::new(at),
    };
    list.iter().map(switch).collect()
}

fn promoted(at: u64) -> There {
    There {
        timeline: 3,
        history: switches(&[(1, 500), (2, at)]),
        ..there()
    }
}

fn go(from: u64) -> StartPlan {
    StartPlan::Go {
        from: Lsn::new(from),
    }
}

fn stop(reason: StopReason) -> StartPlan {
    StartPlan::Stop(Box::new(reason))
}

fn diverged(found: u64, at: Option<u64>) -> StartPlan {
    stop(StopReason::Diverged {
        timeline: 2,
        found,
        switched_at: at.map(Lsn::new),
        received_upto: Lsn::new(1000),
    })
}

fn missing(received: u64) -> StartPlan {
    stop(StopReason::SlotMissing {
        received_upto: Lsn::new(received),
        end: Lsn::new(2000),
    })
}

fn ahead(confirmed: u64) -> StartPlan {
    stop(StopReason::SlotAhead {
        received_upto: Lsn::new(1000),
        confirmed_flush_lsn: Lsn::new(confirmed),
    })
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_capture_that_received_goes_on_only_without_a_gap() {
    let no_slot = || There {
        slot: None,
        ..there()
    };
    let end = |end| There {
        end: Lsn::new(end),
        ..there()
    };
    let with = |lost: Option<&str>, not_ours: Option<&str>| There {
        slot: slot(900).map(|slot| SlotThere {
            lost: lost.map(str::to_owned),
            not_ours: not_ours.map(str::to_owned),
            ..slot
        }),
        ..there()
    };
    let slot_at = |at| There {
        slot: slot(at),
        ..there()
    };
    let behind = stop(StopReason::UpstreamBehind {
        end: Lsn::new(999),
        received_upto: Lsn::new(1000),
    });
    let lost = stop(StopReason::SlotLost {
        cause: "wal_removed".to_owned(),
        received_upto: Lsn::new(1000),
        end: Lsn::new(2000),
    });
    let other = stop(StopReason::SlotNotOurs("a physical slot".to_owned()));
    let system = stop(StopReason::SystemChanged {
        expected: SYSTEM,
        found: 8,
    });
    let other_system = There {
        system_id: 8,
        ..no_slot()
    };
    let back = There {
        timeline: 1,
        history: Vec::new(),
        ..there()
    };
    let never_ours = There {
        timeline: 3,
        history: switches(&[(1, 3000)]),
        ..there()
    };
    let promoted_ahead = There {
        slot: slot(1001),
        ..promoted(1500)
    };
    let standby = There {
        is_standby: true,
        ..end(999)
    };
    let table = [
        ("all is well", there(), go(1000)),
        ("the slot is just there", slot_at(1000), go(1000)),
        ("the slot is ahead", slot_at(1001), ahead(1001)),
        ("another cluster", other_system, system),
        ("no slot", no_slot(), missing(1000)),
        ("a lost slot", with(Some("wal_removed"), None), lost),
        (
            "a slot of another kind",
            with(None, Some("a physical slot")),
            other,
        ),
        ("restored from an older copy", end(999), behind),
        ("nothing new", end(1000), go(1000)),
        ("a standby that replays", standby, StartPlan::Wait),
        ("promoted above what was received", promoted(1500), go(1000)),
        ("promoted exactly there", promoted(1000), go(1000)),
        ("promoted below", promoted(999), diverged(3, Some(999))),
        (
            "promoted, and the slot is ahead",
            promoted_ahead,
            ahead(1001),
        ),
        ("an older timeline", back, diverged(1, None)),
        (
            "a timeline that never was on ours",
            never_ours,
            diverged(3, None),
        ),
    ];
    for (name, there, wanted) in table {
        assert_eq!(plan_start(&here(), &there, true), wanted, "{name}");
    }
}

#[test]
fn a_new_capture_begins_where_its_slot_stands() {
    let no_slot = There {
        slot: None,
        ..there()
    };
    let other_system = There {
        system_id: 99,
        timeline: 5,
        ..there()
    };
    let create = StartPlan::CreateSlot;
    assert_eq!(plan_start(&new(), &no_slot, true), create);
    assert_eq!(plan_start(&new(), &no_slot, false), missing(0));
    assert_eq!(plan_start(&new(), &there(), true), go(900));
    assert_eq!(plan_start(&new(), &other_system, false), go(900));
    // What was received once is never begun anew by itself.
    assert_eq!(plan_start(&here(), &no_slot, true), missing(1000));
}
