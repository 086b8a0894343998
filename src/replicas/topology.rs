//! RedDB's topology advertiser: what of the fleet a caller is shown, and its bytes.
//!
//! Pure. Who may not see the fleet sees the primary. A decoder of an older version reads what a
//! newer one wrote: fields are only ever added behind.
//!
//! ```text
//! u8 1 | u32 length of what follows | u64 epoch | text primary address | text primary region
//!      | u32 n | n x (text address | text region | u8 healthy | u32 lag in ms | u64 applied)
//!      | n x u8 rebootstrapping (missing: no)
//! text: u32 length, UTF-8; all numbers little-endian
//! ```

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::registry::ReplicaSnapshot;
use crate::clock::Moment;
use crate::lsn::Lsn;

/// The capability that the full list asks for.
pub const CAPABILITY: &str = "cluster:topology:read";
/// Seen no longer ago than this, a replica counts as healthy.
const HEALTHY_FOR: Duration = Duration::from_millis(5000);
/// The only version there is.
const TAG: u8 = 1;
const UNKNOWN_REGION: &str = "unknown";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Authenticated, in whatever role.
    Authenticated,
    /// Nobody said who.
    Anonymous,
    /// Known, and refused.
    Denied,
}

impl Caller {
    /// Whether it may see the fleet.
    pub const fn may_see_replicas(self) -> bool {
        match self {
            Self::Authenticated => true,
            Self::Anonymous | Self::Denied => false,
        }
    }
}

/// Where somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub addr: String,
    /// Region.
    pub region: String,
}

/// One replica as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// Where it is.
    pub endpoint: Endpoint,
    /// It was heard of lately.
    pub healthy: bool,
    /// How far behind it is, milliseconds; `u32::MAX` for unknown.
    pub lag_ms: u32,
    /// Highest position it applied.
    pub last_applied_lsn: Lsn,
    /// It is building its data anew.
    pub rebootstrapping: bool,
}

/// The fleet as one caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Rises with every change.
    pub epoch: u64,
    /// The primary.
    pub primary: Endpoint,
    /// The replicas, in the order of their registration.
    pub replicas: Vec<ReplicaInfo>,
}

/// What the shown lag is computed with.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LagEstimate {
    /// Records per millisecond, when that is known.
    pub records_per_ms: Option<f64>,
}

impl Topology {
    /// What `caller` is shown of `replicas` while the primary's head is `head`.
    pub fn advertise(
        replicas: &[ReplicaSnapshot],
        caller: Caller,
        epoch: u64,
        primary: Endpoint,
        head: Lsn,
        estimate: LagEstimate,
        now: Moment,
    ) -> Self {
        let show = |replica: &ReplicaSnapshot| ReplicaInfo {
            endpoint: Endpoint {
                addr: replica.id.clone(),
                region: replica
                    .region
                    .clone()
                    .unwrap_or_else(|| UNKNOWN_REGION.to_owned()),
            },
            healthy: now.since(replica.last_seen) <= HEALTHY_FOR,
            lag_ms: estimate.lag_ms(head, replica.applied_lsn),
            last_applied_lsn: replica.applied_lsn,
            rebootstrapping: replica.rebootstrapping,
        };
        let shown = if caller.may_see_replicas() {
            replicas.iter().map(show).collect()
        } else {
            Vec::new()
        };
        Self {
            epoch,
            primary,
            replicas: shown,
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.epoch.to_le_bytes().to_vec();
        write_text(&self.primary.addr, &mut body);
        write_text(&self.primary.region, &mut body);
        body.extend_from_slice(&length(self.replicas.len()));
        for replica in &self.replicas {
            write_text(&replica.endpoint.addr, &mut body);
            write_text(&replica.endpoint.region, &mut body);
            body.push(u8::from(replica.healthy));
            body.extend_from_slice(&replica.lag_ms.to_le_bytes());
            body.extend_from_slice(&replica.last_applied_lsn.get().to_le_bytes());
        }
        body.extend(self.replicas.iter().map(|r| u8::from(r.rebootstrapping)));
        let mut bytes = vec![TAG];
        bytes.extend_from_slice(&length(body.len()));
        bytes.extend(body);
        bytes
    }

    /// Reads its bytes; `None` for those of a version to come, which is to be ignored.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, TopologyError> {
        let mut reader = Reader { rest: bytes };
        let (Some(tag), Some(declared)) = (reader.u8(), reader.u32()) else {
            return Err(TopologyError::Truncated);
        };
        if tag > TAG {
            return Ok(None);
        }
        let declared = usize::try_from(declared).unwrap_or(usize::MAX);
        let Some(body) = reader.rest.get(..declared) else {
            return Err(TopologyError::BodyLengthMismatch);
        };
        Reader { rest: body }.topology().map(Some)
    }

    /// Its bytes as a hello carries them.
    pub fn to_hello(&self) -> String {
        STANDARD.encode(self.encode())
    }

    /// Reads what a hello carries; `None` for what is to be ignored: no base64, or a version to
    /// come.
    pub fn from_hello(text: &str) -> Result<Option<Self>, TopologyError> {
        STANDARD
            .decode(text)
            .map_or(Ok(None), |bytes| Self::decode(&bytes))
    }
}

impl LagEstimate {
    /// How long a replica at `applied` needs to reach `head`.
    fn lag_ms(self, head: Lsn, applied: Lsn) -> u32 {
        if head <= applied {
            return 0;
        }
        let rate = self.records_per_ms.filter(|r| *r > 0.0 && r.is_finite());
        let Some(rate) = rate else {
            return u32::MAX;
        };
        // The nearest double does: the answer is rounded to milliseconds.
        #[allow(clippy::as_conversions, clippy::cast_precision_loss)]
        let records = head.distance_from(applied) as f64;
        // Printed without a fraction, so that what does not fit does not parse.
        let rounded = format!("{:.0}", (records / rate).round());
        rounded.parse().unwrap_or(u32::MAX)
    }
}

/// Not the bytes of a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// They end before the length of the body.
    #[error("topology is truncated")]
    Truncated,
    /// There is less than the declared length.
    #[error("topology body is shorter than its declared length")]
    BodyLengthMismatch,
    /// A text runs past the end, or the list does.
    #[error("topology body ends early")]
    BodyEndsEarly,
    /// A text is not UTF-8.
    #[error("topology text is not UTF-8")]
    InvalidText,
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&length(text.len()));
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn topology(mut self) -> Result<Topology, TopologyError> {
        let epoch = self.u64().ok_or(TopologyError::BodyEndsEarly)?;
        let primary = self.endpoint()?;
        let count = self.u32().ok_or(TopologyError::BodyEndsEarly)?;
        let mut replicas = Vec::new();
        for _ in 0..count {
            replicas.push(ReplicaInfo {
                endpoint: self.endpoint()?,
                healthy: self.u8().ok_or(TopologyError::BodyEndsEarly)? != 0,
                lag_ms: self.u32().ok_or(TopologyError::BodyEndsEarly)?,
                last_applied_lsn: Lsn::new(self.u64().ok_or(TopologyError::BodyEndsEarly)?),
                rebootstrapping: false,
            });
        }
        for replica in &mut replicas {
            replica.rebootstrapping = self.u8().is_some_and(|flag| flag != 0);
        }
        Ok(Topology {
            epoch,
            primary,
            replicas,
        })
    }

    fn endpoint(&mut self) -> Result<Endpoint, TopologyError> {
        Ok(Endpoint {
            addr: self.text()?,
            region: self.text()?,
        })
    }

    fn text(&mut self) -> Result<String, TopologyError> {
        let len = self.u32().ok_or(TopologyError::BodyEndsEarly)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = self.take(len).ok_or(TopologyError::BodyEndsEarly)?;
        let text = std::str::from_utf8(bytes).map_err(|_| TopologyError::InvalidText)?;
        Ok(text.to_owned())
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
