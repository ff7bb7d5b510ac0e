# cython: language_level=3
"""What the listener sees of the table of delivered events (`delivered.pyx`)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef struct Pair:
    uint64_t scope
    uint64_t[4] id


cdef struct Generation:
    Pair* pairs  # in the order of their coming
    uint32_t* index  # open addressing: 1 + position in `pairs`, 0 where nothing stands; at least half is empty
    size_t length  # of `index`, a power of two
    uint32_t count
    uint32_t room  # of `pairs`


cdef struct Name:
    uint64_t scope  # 0 where nothing stands
    const char* text
    Py_ssize_t size


cdef class Delivered:
    cdef:
        uint64_t[2] key
        uint32_t capacity
        uint64_t last_scope
        Generation young
        Generation old
        dict scopes  # by the bytes of a name
        Name* names  # the same, as open addressing over the bytes that the dict keeps
        size_t names_length

    cdef bint find(self, const char* text, Py_ssize_t size, uint8_t* event_id) noexcept
    cdef bint has(self, const Pair* pair) noexcept
    cdef uint64_t hash_of(self, const Pair* pair) noexcept
    cdef int _grow(self, Generation* young) except -1
    cdef uint64_t scope_of(self, const char* name, Py_ssize_t size) noexcept
    cdef Name* _name_at(self, const char* name, Py_ssize_t size) noexcept
    cdef int _room_for_names(self, size_t count) except -1
    cdef int _index_names(self) except -1
    cdef int _index_name(self, bytes name, uint64_t scope) except -1
