//! The bytes of one frame.

/// The layouts of RedDB frames that are read. Only [`FrameVersion::V3`] is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameVersion {
    /// 21-byte header, no checksum, no time, no term.
    V1,
    /// 25-byte header and checksum, no term.
    V2,
    /// 33-byte header and checksum.
    V3,
    /// 41-byte header (ownership epoch) and checksum, as later RedDB writes it.
    V3Epoch,
}
