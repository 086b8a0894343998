"""pgoutput's messages as PostgreSQL documents them, read from bytes: strictly, and totally.

`decode` takes the bytes of one message; whatever they are, it answers a message or raises
`Malformed`. Nothing is left out or guessed: flags that do not exist, unknown kinds, a bool that is
neither 0 nor 1, text that is no UTF-8, and bytes that are left over are malformed.

`decode_lines` takes what pg_recvlogical writes, where a line feed stands after each message.
"""

import dataclasses
import struct

# What a value in a tuple may be: NULL, left as it was, text, binary.
NULL, UNCHANGED, TEXT, BINARY = "n", "u", "t", "b"


class Malformed(Exception):
    """These bytes are no message."""


@dataclasses.dataclass(frozen=True)
class Begin:
    final_lsn: int
    time: int
    xid: int


@dataclasses.dataclass(frozen=True)
class Commit:
    flags: int
    lsn: int
    end_lsn: int
    time: int


@dataclasses.dataclass(frozen=True)
class Origin:
    lsn: int
    name: str


@dataclasses.dataclass(frozen=True)
class Column:
    is_key: bool
    name: str
    type: int
    modifier: int


@dataclasses.dataclass(frozen=True)
class Relation:
    xid: int | None
    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[Column, ...]


@dataclasses.dataclass(frozen=True)
class Type:
    xid: int | None
    oid: int
    schema: str
    name: str


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of a tuple: `text` has a str, `binary` has bytes."""

    kind: str
    value: str | bytes | None = None


Tuple = tuple[Value, ...]


@dataclasses.dataclass(frozen=True)
class Insert:
    xid: int | None
    relation: int
    new: Tuple


@dataclasses.dataclass(frozen=True)
class Update:
    """`old_kind` is K (a key), O (a row), or None."""

    xid: int | None
    relation: int
    old_kind: str | None
    old: Tuple | None
    new: Tuple


@dataclasses.dataclass(frozen=True)
class Delete:
    xid: int | None
    relation: int
    old_kind: str
    old: Tuple


@dataclasses.dataclass(frozen=True)
class Truncate:
    xid: int | None
    cascade: bool
    restart_identity: bool
    relations: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Message:
    xid: int | None
    transactional: bool
    lsn: int
    prefix: str
    content: bytes


@dataclasses.dataclass(frozen=True)
class StreamStart:
    xid: int
    first: bool


@dataclasses.dataclass(frozen=True)
class StreamStop:
    pass


@dataclasses.dataclass(frozen=True)
class StreamCommit:
    xid: int
    flags: int
    lsn: int
    end_lsn: int
    time: int


@dataclasses.dataclass(frozen=True)
class StreamAbort:
    xid: int
    subxid: int


class Reader:
    """Bytes, read from the front."""

    def __init__(self, data, at=0):
        self.data, self.at = bytes(data), at

    def fail(self, what):
        raise Malformed(f"{what} before byte {self.at} of {self.data[:80]!r}")

    def take(self, count):
        end = self.at + count
        if count < 0 or end > len(self.data):
            self.fail(f"no {count} bytes")
        taken, self.at = self.data[self.at:end], end
        return taken

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def int8(self):
        return self.number("B")

    def int16(self):
        return self.number("h")

    def int32(self):
        return self.number("i")

    def oid(self):
        return self.number("I")

    def lsn(self):
        return self.number("Q")

    def time(self):
        return self.number("q")

    def count(self, form):
        count = self.number(form)
        return count if count >= 0 else self.fail("a negative count")

    def bits(self, known):
        bits = self.int8()
        return bits if not bits & ~known else self.fail(f"unknown flags {bits:#x}")

    def letter(self, known):
        byte = self.int8()
        return chr(byte) if chr(byte) in known else self.fail(f"{byte:#x} is none of {known}")

    def utf8(self, data):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return self.fail("text that is no UTF-8")

    def name(self):
        end = self.data.find(b"\0", self.at)
        if end < 0:
            self.fail("a text without an end")
        return self.utf8(self.take(end + 1 - self.at)[:-1])

    def column(self):
        return Column(self.bits(1) == 1, self.name(), self.oid(), self.int32())

    def tuple(self):
        return tuple(self.value() for _ in range(self.count("h")))

    def value(self):
        kind = self.letter(NULL + UNCHANGED + TEXT + BINARY)
        if kind in (NULL, UNCHANGED):
            return Value(kind)
        data = self.take(self.count("i"))
        return Value(kind, self.utf8(data) if kind == TEXT else data)

    def message(self, in_stream):
        """One message. `in_stream`: inside of a streamed block, where changes name their xid."""
        kind = self.letter("BCORYIUDTMSEcA")
        return getattr(self, {"c": "read_stream_commit"}.get(kind, f"read_{kind}"))(in_stream)

    def xid(self, in_stream):
        return self.oid() if in_stream else None

    def read_B(self, _):
        return Begin(self.lsn(), self.time(), self.oid())

    def read_C(self, _):
        return Commit(self.bits(0), self.lsn(), self.lsn(), self.time())

    def read_O(self, _):
        return Origin(self.lsn(), self.name())

    def read_R(self, in_stream):
        return Relation(self.xid(in_stream), self.oid(), self.name(), self.name(),
                        self.letter("dnfi"),
                        tuple(self.column() for _ in range(self.count("h"))))

    def read_Y(self, in_stream):
        return Type(self.xid(in_stream), self.oid(), self.name(), self.name())

    def read_I(self, in_stream):
        xid, relation, _ = self.xid(in_stream), self.oid(), self.letter("N")
        return Insert(xid, relation, self.tuple())

    def read_U(self, in_stream):
        xid, relation, kind = self.xid(in_stream), self.oid(), self.letter("KON")
        if kind == "N":
            return Update(xid, relation, None, None, self.tuple())
        old, _ = self.tuple(), self.letter("N")
        return Update(xid, relation, kind, old, self.tuple())

    def read_D(self, in_stream):
        return Delete(self.xid(in_stream), self.oid(), self.letter("KO"), self.tuple())

    def read_T(self, in_stream):
        xid, count, bits = self.xid(in_stream), self.count("i"), self.bits(3)
        return Truncate(xid, bits & 1 != 0, bits & 2 != 0,
                        tuple(self.oid() for _ in range(count)))

    def read_M(self, in_stream):
        xid, bits, lsn, prefix = self.xid(in_stream), self.bits(1), self.lsn(), self.name()
        return Message(xid, bits == 1, lsn, prefix, self.take(self.count("i")))

    def read_S(self, _):
        return StreamStart(self.oid(), self.bits(1) == 1)

    def read_E(self, _):
        return StreamStop()

    def read_stream_commit(self, _):
        return StreamCommit(self.oid(), self.bits(0), self.lsn(), self.lsn(), self.time())

    def read_A(self, _):
        return StreamAbort(self.oid(), self.oid())


def decode(data, in_stream=False):
    """The message that these bytes are, all of them."""
    reader = Reader(data)
    message = reader.message(in_stream)
    if reader.at != len(reader.data):
        reader.fail("more than a message")
    return message


def decode_lines(data):
    """The messages in what pg_recvlogical wrote, none of them streamed."""
    reader, messages = Reader(data), []
    while reader.at != len(reader.data):
        messages.append(reader.message(False))
        reader.letter("\n")
    return messages
