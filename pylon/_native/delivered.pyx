# cython: language_level=3, boundscheck=False, wraparound=False
"""The events that were delivered: pairs of subscription and whole event id, found in the bytes of a frame without making an object.

A subscription is known by its name while it is open, and by a number, its scope, that is never used again: what was delivered to an ended
subscription is not taken for delivered to a new one of the same name. Two generations bound the memory: when the young one holds `capacity`
pairs it becomes the old one, and the old one is forgotten. A pair takes 40 bytes, and 8 of an index.

The ids are chosen by strangers: the index is hashed by SipHash-1-3 (https://www.aumasson.jp/siphash/siphash.pdf) under a key drawn for each
table, and what it finds is compared whole.
"""

import os

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from pylon._native.claim cimport claimed_id, is_event, unhex

cdef size_t FIRST_NAMES = 8

cdef enum:
    HEAD = 10  # bytes of `["EVENT","`
    MAX_NAME = 256  # bytes: a subscription id has 64 characters at most
    FIRST_ROOM = 64  # pairs


def peek_id(bytes text, /):
    cdef uint8_t[32] event_id
    cdef const char* digits = NULL
    if is_event(text, len(text)):
        digits = claimed_id(text, len(text), event_id)
    return None if digits == NULL else PyUnicode_DecodeASCII(digits, 64, NULL)


cdef inline uint64_t rotated(uint64_t word, int bits) noexcept nogil:
    return word << bits | word >> (64 - bits)


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = rotated(v[1], 13) ^ v[0]
    v[3] = rotated(v[3], 16) ^ v[2]
    v[0] = rotated(v[0], 32) + v[3]
    v[2] += v[1]
    v[3] = rotated(v[3], 21) ^ v[0]
    v[1] = rotated(v[1], 17) ^ v[2]
    v[2] = rotated(v[2], 32)


cdef inline uint64_t sip13(const uint64_t* key, const char* text, Py_ssize_t size) noexcept nogil:
    """SipHash-1-3 of bytes: one round for each word of eight, the last with the length in its top byte, and three to finish."""
    cdef uint64_t[4] v
    cdef uint64_t word
    cdef Py_ssize_t at = 0
    v[0] = key[0] ^ <uint64_t>0x736F6D6570736575
    v[1] = key[1] ^ <uint64_t>0x646F72616E646F6D
    v[2] = key[0] ^ <uint64_t>0x6C7967656E657261
    v[3] = key[1] ^ <uint64_t>0x7465646279746573
    while True:
        if at + 8 <= size:
            memcpy(&word, text + at, 8)
        else:
            word = 0
            memcpy(&word, text + at, size - at)
            word |= <uint64_t>size << 56
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        if at + 8 > size:
            break
        at += 8
    v[2] ^= 0xFF
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


cdef inline uint32_t* place_of(const Generation* generation, const Pair* pair, uint64_t hashed) noexcept nogil:
    """Where in the index of a generation that has one a pair stands, or would."""
    cdef size_t at = hashed & (generation.length - 1)
    while generation.index[at] and memcmp(&generation.pairs[generation.index[at] - 1], pair, sizeof(Pair)):
        at = (at + 1) & (generation.length - 1)
    return &generation.index[at]


cdef inline bint holds(const Generation* generation, const Pair* pair, uint64_t hashed) noexcept nogil:
    return generation.count and place_of(generation, pair, hashed)[0]


cdef Pair pair_of(uint64_t scope, str event_id) except *:
    cdef Pair pair
    cdef bytes text = event_id.encode()
    pair.scope = scope
    if len(text) != 64 or not unhex(text, <uint8_t*>pair.id):
        raise ValueError("an event id is 64 lower-case hexadecimal digits")
    return pair


cdef class Delivered:
    def __cinit__(self, Py_ssize_t capacity, /):
        if not 0 < capacity <= 1 << 30:
            raise ValueError("a table remembers between 1 and 2**30 pairs")
        cdef bytes secret = os.urandom(16)
        memcpy(self.key, <const char*>secret, 16)
        self.capacity = <uint32_t>capacity
        self.scopes = {}

    def __dealloc__(self):
        PyMem_RawFree(self.young.pairs)
        PyMem_RawFree(self.young.index)
        PyMem_RawFree(self.old.pairs)
        PyMem_RawFree(self.old.index)
        PyMem_RawFree(self.names)

    def __len__(self):
        return self.young.count + self.old.count

    def open(self, str sub not None, /):
        cdef bytes name = sub.encode()
        known = self.scopes.get(name)
        if known is not None:
            return known
        self._room_for_names(len(self.scopes) + 1)
        self.scopes[name] = self.last_scope + 1
        self.last_scope += 1
        self._index_name(name, self.last_scope)
        return self.last_scope

    def close(self, str sub not None, /):
        if self.scopes.pop(sub.encode(), None) is not None:
            self._index_names()

    def add(self, uint64_t scope, str event_id not None, /):
        cdef Pair pair = pair_of(scope, event_id)
        cdef uint64_t hashed = self.hash_of(&pair)
        cdef Generation* young = &self.young
        if holds(young, &pair, hashed):
            return False
        cdef bint known = holds(&self.old, &pair, hashed)
        if young.count == self.capacity:
            self.young, self.old = self.old, self.young
            if young.index != NULL:
                memset(young.index, 0, young.length * sizeof(uint32_t))
            young.count = 0
        if young.count == young.room:
            self._grow(young)
        young.pairs[young.count] = pair
        young.count += 1
        place_of(young, &pair, hashed)[0] = young.count
        return not known

    def holds(self, uint64_t scope, str event_id not None, /):
        cdef Pair pair = pair_of(scope, event_id)
        return self.has(&pair)

    def repeats(self, bytes text, /):
        cdef uint8_t[32] event_id
        return self.find(text, len(text), event_id)

    cdef bint find(self, const char* text, Py_ssize_t size, uint8_t* event_id) noexcept:
        """Whether `text` is an EVENT of the usual spelling for an open subscription that claims the id of a delivered one: that id."""
        cdef Pair pair
        if size < HEAD or memcmp(text, b'["EVENT","', HEAD):
            return False
        cdef const char* name = text + HEAD
        cdef const char* quote = <const char*>memchr(name, c'"', min(size - HEAD, MAX_NAME + 1))
        if quote == NULL:
            return False
        cdef const char* event = quote + 2
        cdef Py_ssize_t rest = text + size - event
        if rest < 1 or quote[1] != c"," or event[0] != c"{":
            return False
        pair.scope = self.scope_of(name, quote - name)
        if pair.scope == 0:
            return False
        if claimed_id(event, rest, event_id) == NULL:
            return False
        memcpy(pair.id, event_id, 32)
        return self.has(&pair)

    cdef inline bint has(self, const Pair* pair) noexcept:
        cdef uint64_t hashed = self.hash_of(pair)
        return holds(&self.young, pair, hashed) or holds(&self.old, pair, hashed)

    cdef inline uint64_t hash_of(self, const Pair* pair) noexcept:
        return sip13(self.key, <const char*>pair, sizeof(Pair))

    cdef int _grow(self, Generation* young) except -1:
        """Double the room of a generation, up to the capacity. MemoryError: it is as it was."""
        cdef uint32_t room = min(max(2 * young.room, FIRST_ROOM), self.capacity)
        cdef size_t length = 2 * FIRST_ROOM
        while length < 2 * <size_t>room:
            length *= 2
        cdef uint32_t* index = <uint32_t*>PyMem_RawCalloc(length, sizeof(uint32_t))
        cdef Pair* pairs = NULL
        if index != NULL:
            pairs = <Pair*>PyMem_RawRealloc(young.pairs, room * sizeof(Pair))
        if pairs == NULL:
            PyMem_RawFree(index)
            raise MemoryError("no room for more delivered events")
        PyMem_RawFree(young.index)
        young.pairs, young.index, young.room, young.length = pairs, index, room, length
        cdef uint32_t at
        for at in range(young.count):
            place_of(young, &pairs[at], self.hash_of(&pairs[at]))[0] = at + 1
        return 0

    cdef uint64_t scope_of(self, const char* name, Py_ssize_t size) noexcept:
        """The scope of an open subscription, by the bytes of its name as a frame spells it without escapes; 0 where there is none."""
        if self.names == NULL:
            return 0
        cdef Name* found = self._name_at(name, size)
        return found.scope

    cdef Name* _name_at(self, const char* name, Py_ssize_t size) noexcept:
        """Where in the index of names, which exists, one stands, or would."""
        cdef size_t at = sip13(self.key, name, size) & (self.names_length - 1)
        while self.names[at].scope and (self.names[at].size != size or memcmp(self.names[at].text, name, size)):
            at = (at + 1) & (self.names_length - 1)
        return &self.names[at]

    cdef int _room_for_names(self, size_t count) except -1:
        cdef size_t length = max(self.names_length, FIRST_NAMES)
        while length < 2 * count:
            length *= 2
        if length == self.names_length:
            return 0
        cdef void* names = PyMem_RawRealloc(self.names, length * sizeof(Name))
        if names == NULL:
            raise MemoryError("no room for the name of a subscription")
        self.names, self.names_length = <Name*>names, length
        return self._index_names()

    cdef int _index_names(self) except -1:
        memset(self.names, 0, self.names_length * sizeof(Name))
        for name, scope in self.scopes.items():
            self._index_name(name, scope)
        return 0

    cdef int _index_name(self, bytes name, uint64_t scope) except -1:
        cdef Name* empty
        if b"\\" in name:
            return 0  # a frame spells it in another way
        empty = self._name_at(name, len(name))
        empty.scope, empty.text, empty.size = scope, name, len(name)
        return 0
