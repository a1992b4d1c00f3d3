//! The TCP machine as data: what a segment does to a connection's state, with the reason for each cell.
//!
//! The states are those of RFC 9293 seen from the middle, as `nf_conntrack_proto_tcp.c` names them. The middle sees both
//! sides' segments, but no sequence numbers here: which side closed first stands in for what windows tell the kernel.
//!
//! ```text
//!                SYN            SYN-ACK          ACK
//!        NONE --------> SYN_SENT ------> SYN_RECV -----> ESTABLISHED <-- ACK picked up midstream -- NONE
//!                                                            | FIN (first closer)
//!                                          ACK (peer)        v          FIN (peer)
//!                          CLOSE_WAIT <----------------- FIN_WAIT ---------------.
//!                               | FIN (peer)                                     v
//!                               '--------------------------------------------> LAST_ACK -- ACK (first closer) --> TIME_WAIT
//!        RST in any state but NONE: CLOSE
//! ```

use crate::packet::TcpFlags;

/// State of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// No connection.
    None = 0,
    /// A SYN was seen.
    SynSent,
    /// A SYN and a SYN-ACK were seen.
    SynRecv,
    /// The handshake is complete, or the connection was picked up midstream.
    Established,
    /// One side has closed.
    FinWait,
    /// One side has closed, and the other acknowledged something since.
    CloseWait,
    /// Both sides have closed.
    LastAck,
    /// Both sides have closed, and the first has acknowledged it.
    TimeWait,
    /// The connection was reset.
    Close,
}

impl TcpState {
    /// All states, in order.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::SynSent,
        Self::SynRecv,
        Self::Established,
        Self::FinWait,
        Self::CloseWait,
        Self::LastAck,
        Self::TimeWait,
        Self::Close,
    ];

    /// Whether nothing is expected to follow.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::TimeWait | Self::Close)
    }

    /// Milliseconds a connection in this state lives without a packet: `tcp_timeouts` of Linux (nf_conntrack-sysctl.rst).
    #[must_use]
    pub const fn timeout_ms(self) -> u32 {
        const SECOND: u32 = 1000;
        match self {
            Self::None => 0,
            Self::SynRecv | Self::CloseWait => 60 * SECOND,
            Self::Established => 432_000 * SECOND,
            Self::SynSent | Self::FinWait | Self::TimeWait => 120 * SECOND,
            Self::LastAck => 30 * SECOND,
            Self::Close => 10 * SECOND,
        }
    }
}

/// What kind of segment it is. One flag decides, as in the kernel's `get_conntrack_index`: RST, else SYN, else FIN, else ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Segment {
    /// SYN without ACK.
    Syn = 0,
    /// SYN with ACK.
    SynAck,
    /// FIN with ACK.
    Fin,
    /// ACK, with or without data.
    Ack,
    /// RST, with or without ACK.
    Rst,
    /// No combination that a stack sends (`tcp_valid_flags`): none at all, FIN without ACK, SYN with FIN, ...
    Invalid,
}

impl Segment {
    /// All kinds, in order.
    pub const ALL: [Self; 6] = [
        Self::Syn,
        Self::SynAck,
        Self::Fin,
        Self::Ack,
        Self::Rst,
        Self::Invalid,
    ];

    /// The kind of a segment with these flags.
    #[must_use]
    pub const fn of(flags: TcpFlags) -> Self {
        const FIN: u8 = TcpFlags::FIN.0;
        const SYN: u8 = TcpFlags::SYN.0;
        const RST: u8 = TcpFlags::RST.0;
        const ACK: u8 = TcpFlags::ACK.0;
        const SYN_ACK: u8 = SYN | ACK;
        const FIN_ACK: u8 = FIN | ACK;
        const RST_ACK: u8 = RST | ACK;
        // PSH, URG, ECE and CWR go with any of them.
        match flags.0 & (FIN | SYN | RST | ACK) {
            SYN => Self::Syn,
            SYN_ACK => Self::SynAck,
            FIN_ACK => Self::Fin,
            ACK => Self::Ack,
            RST | RST_ACK => Self::Rst,
            _ => Self::Invalid,
        }
    }
}

/// Who sent a segment. Until a side has closed: the one that opened, or the other. From then on: the first that closed, or
/// its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The opener; then the first closer.
    First = 0,
    /// The other.
    Second,
}

/// What a segment does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The connection goes to this state, or stays in it, and its timeout starts anew.
    To(TcpState),
    /// Nothing: state and timeout stay. In [`TcpState::None`]: nothing is opened.
    Ignore,
    /// The old connection is over, and this segment opens a new one.
    Reopen,
}

/// A cell of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// What happens.
    pub next: Next,
    /// Why.
    pub why: &'static str,
}

const fn to(state: TcpState, why: &'static str) -> Cell {
    Cell {
        next: Next::To(state),
        why,
    }
}

const fn ignore(why: &'static str) -> Cell {
    Cell {
        next: Next::Ignore,
        why,
    }
}

const fn reopen(why: &'static str) -> Cell {
    Cell {
        next: Next::Reopen,
        why,
    }
}

/// Both sides alike.
const fn both(cell: Cell) -> [Cell; 2] {
    [cell, cell]
}

const INVALID: [Cell; 2] = both(ignore("no stack sends these flags: nothing follows from them"));
const RESET: [Cell; 2] = both(to(
    TcpState::Close,
    "RFC 9293 3.5.3: a reset ends the connection (unchecked: no windows here)",
));
const LATE_SYN_ACK: [Cell; 2] = both(ignore("a SYN-ACK past the handshake is a duplicate, or forged"));
const LATE_SYN: [Cell; 2] = both(ignore(
    "RFC 5961 4: a SYN on a synchronised connection changes nothing, it is answered by a challenge ACK",
));

use TcpState::{Close, CloseWait, Established, FinWait, LastAck, SynRecv, SynSent, TimeWait};

/// The machine: `MACHINE[state][segment][side]`. In [`TcpState::None`] the sender is always [`Side::First`].
pub const MACHINE: [[[Cell; 2]; 6]; 9] = [
    // NONE
    [
        both(to(SynSent, "RFC 9293 3.5: the first segment of a handshake")),
        both(ignore(
            "an answer to nothing: backscatter, or the request went another way",
        )),
        both(ignore("the end of a connection that was never seen")),
        both(to(
            Established,
            "picked up midstream, as Linux does with tcp_loose=1",
        )),
        both(ignore("a reset opens nothing")),
        INVALID,
    ],
    // SYN_SENT: First opened
    [
        [
            to(SynSent, "the SYN again"),
            to(
                SynRecv,
                "RFC 9293 3.5 figure 8: both open at once; no state of its own (the kernel's SYN_SENT2) is needed here",
            ),
        ],
        [
            ignore("an opener does not answer itself"),
            to(SynRecv, "RFC 9293 3.5: the second segment of the handshake"),
        ],
        both(ignore("nothing to close yet")),
        both(ignore(
            "RFC 9293 3.5.2: an ACK before the SYN-ACK is out of order or a half-open peer's; a reset will follow",
        )),
        [
            to(Close, "the opener gives up"),
            to(Close, "RFC 9293 3.5.3: refused"),
        ],
        INVALID,
    ],
    // SYN_RECV: First opened
    [
        both(ignore(
            "the SYN again: the SYN-ACK is on its way; a flood of SYNs is not to keep the entry alive",
        )),
        both(ignore(
            "the SYN-ACK again: only the ACK counts; retransmissions are not to keep the entry alive",
        )),
        [
            to(
                FinWait,
                "RFC 9293 3.10.4: CLOSE straight after the handshake; its ACK was lost on the way here",
            ),
            to(FinWait, "the answerer closes before the ACK came past here"),
        ],
        [
            to(Established, "RFC 9293 3.5: the third segment"),
            to(
                SynRecv,
                "the answerer's ACK (both opened at once): the opener's is still missing",
            ),
        ],
        RESET,
        INVALID,
    ],
    // ESTABLISHED: First opened
    [
        LATE_SYN,
        LATE_SYN_ACK,
        both(to(FinWait, "RFC 9293 3.6: the first side closes")),
        both(to(Established, "data or its acknowledgement")),
        RESET,
        INVALID,
    ],
    // FIN_WAIT: First closed first
    [
        LATE_SYN,
        LATE_SYN_ACK,
        [
            to(FinWait, "the FIN again"),
            to(LastAck, "RFC 9293 3.6: the peer closes too"),
        ],
        [
            to(FinWait, "the closer acknowledges what the peer still sends"),
            to(
                CloseWait,
                "RFC 9293 3.6: the peer acknowledges (the FIN, or data before it: no sequence numbers here)",
            ),
        ],
        RESET,
        INVALID,
    ],
    // CLOSE_WAIT: First closed first, the peer may still send
    [
        LATE_SYN,
        LATE_SYN_ACK,
        [
            to(CloseWait, "the FIN again"),
            to(LastAck, "RFC 9293 3.6: the peer closes too"),
        ],
        both(to(
            CloseWait,
            "half-closed: data from the peer, its acknowledgement from the closer",
        )),
        RESET,
        INVALID,
    ],
    // LAST_ACK: both closed
    [
        LATE_SYN,
        LATE_SYN_ACK,
        both(to(LastAck, "a FIN again")),
        [
            to(
                TimeWait,
                "RFC 9293 3.6: the first closer acknowledges the second FIN",
            ),
            to(
                LastAck,
                "the second closer acknowledges the first FIN (both closed at once)",
            ),
        ],
        RESET,
        INVALID,
    ],
    // TIME_WAIT: kept only where closed connections linger
    [
        both(reopen("RFC 9293 3.6.1, RFC 6191: a SYN may reuse the ports")),
        both(ignore("an answer to a SYN that did not pass here")),
        both(to(TimeWait, "the last ACK was lost, the FIN comes again")),
        both(to(TimeWait, "the last ACK again")),
        both(to(Close, "RFC 1337: the wait is cut short")),
        INVALID,
    ],
    // CLOSE: kept only where closed connections linger
    [
        both(reopen("the ports are free again")),
        both(ignore("an answer to a SYN that did not pass here")),
        both(to(Close, "sent before the reset arrived")),
        both(to(Close, "sent before the reset arrived")),
        both(to(Close, "the reset again")),
        INVALID,
    ],
];

/// The cell for a segment.
#[must_use]
pub const fn cell(state: TcpState, segment: Segment, side: Side) -> &'static Cell {
    &MACHINE[state as usize][segment as usize][side as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: &[(Segment, Side)]) -> TcpState {
        let mut state = TcpState::None;
        for &(segment, side) in steps {
            match cell(state, segment, side).next {
                Next::To(next) => state = next,
                Next::Ignore => {}
                Next::Reopen => state = SynSent,
            }
        }
        state
    }

    #[test]
    fn every_cell_has_a_reason_and_enums_are_in_order() {
        for (i, state) in TcpState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, i);
            for (j, segment) in Segment::ALL.into_iter().enumerate() {
                assert_eq!(segment as usize, j);
                for side in [Side::First, Side::Second] {
                    assert!(
                        cell(state, segment, side).why.len() > 10,
                        "{state:?} {segment:?} {side:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_a_syn_or_an_ack_opens() {
        for segment in Segment::ALL {
            let opens = cell(TcpState::None, segment, Side::First).next != Next::Ignore;
            assert_eq!(
                opens,
                matches!(segment, Segment::Syn | Segment::Ack),
                "{segment:?}"
            );
        }
    }

    #[test]
    fn a_reset_closes_every_connection() {
        for state in &TcpState::ALL[1..] {
            for side in [Side::First, Side::Second] {
                assert_eq!(
                    cell(*state, Segment::Rst, side).next,
                    Next::To(Close),
                    "{state:?}"
                );
            }
        }
    }

    #[test]
    fn a_syn_reopens_what_is_closed_and_nothing_else() {
        for state in &TcpState::ALL[1..] {
            for side in [Side::First, Side::Second] {
                let reopens = cell(*state, Segment::Syn, side).next == Next::Reopen;
                assert_eq!(reopens, state.is_closed(), "{state:?}");
            }
        }
    }

    #[test]
    fn connections_run_through_the_states_of_rfc_9293() {
        use Segment::{Ack, Fin, Syn, SynAck};
        use Side::{First, Second};
        let opened = vec![(Syn, First), (SynAck, Second), (Ack, First)];
        let then = |more: &[(Segment, Side)]| [opened.clone(), more.to_vec()].concat();
        assert_eq!(run(&opened[..1]), SynSent);
        assert_eq!(run(&opened[..2]), SynRecv);
        assert_eq!(run(&opened), Established);
        // Figure 12, and with the peer's ACK and FIN apart.
        assert_eq!(run(&then(&[(Fin, First), (Fin, Second), (Ack, First)])), TimeWait);
        let apart = [
            (Fin, First),
            (Ack, Second),
            (Ack, Second),
            (Fin, Second),
            (Ack, First),
        ];
        assert_eq!(run(&then(&apart[..2])), CloseWait);
        assert_eq!(run(&then(&apart[..4])), LastAck);
        assert_eq!(run(&then(&apart)), TimeWait);
        // Figure 13: both close at once; the second's ACK comes past first.
        assert_eq!(run(&then(&[(Fin, First), (Fin, Second), (Ack, Second)])), LastAck);
        // Retransmissions change nothing.
        assert_eq!(
            run(&[(Syn, First), (Syn, First), (SynAck, Second), (SynAck, Second)]),
            SynRecv
        );
        // Figure 8: both open at once.
        assert_eq!(
            run(&[
                (Syn, First),
                (Syn, Second),
                (SynAck, First),
                (SynAck, Second),
                (Ack, First)
            ]),
            Established
        );
    }

    #[test]
    fn flags_make_the_segment_as_the_kernel_sorts_them() {
        let kind = |bits| Segment::of(TcpFlags(bits));
        assert_eq!(kind(0x02), Segment::Syn);
        assert_eq!(kind(0xc2), Segment::Syn, "ECE and CWR go with it");
        assert_eq!(kind(0x12), Segment::SynAck);
        assert_eq!(kind(0x11), Segment::Fin);
        assert_eq!(kind(0x18), Segment::Ack, "PSH goes with it");
        assert_eq!(kind(0x04), Segment::Rst);
        assert_eq!(kind(0x14), Segment::Rst);
        for invalid in [0x00, 0x01, 0x03, 0x06, 0x05, 0x29, 0x3f, 0x08] {
            assert_eq!(kind(invalid), Segment::Invalid, "{invalid:#x}");
        }
    }
}
