//! Who is connected, how far each is, and which commits may be released.
//!
//! Registry with regions and topology epoch, commit waiter, commit policies and quorum, flow
//! control, causal bookmarks. All in memory; positions it is given are already clamped to what
//! was sent. It knows no slots, no disk and no clock.
