# cython: language_level=3
"""The id that an EVENT message claims, found in its bytes without parsing: see `peek_id` in `delivered.pyi`."""

from libc.stdint cimport uint8_t
from libc.string cimport memcmp

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t size, const void* needle, size_t needle_size)

cdef extern from *:
    """
    /* One more than a lower-case hexadecimal digit stands for; 0 for every other byte. */
    static const unsigned char PYLON_DIGIT[256] = {
        ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
        ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    };
    """
    const uint8_t[256] PYLON_DIGIT

cdef enum:
    BLOCK = 64  # bytes that are searched at once
    DIGITS = 64


cdef inline const char* skip_space(const char* text, const char* end) noexcept nogil:
    """Behind the white space of JSON."""
    while text < end and (text[0] == c" " or text[0] == c"\t" or text[0] == c"\r" or text[0] == c"\n"):
        text += 1
    return text


cdef inline bint is_event(const char* text, Py_ssize_t size) noexcept nogil:
    """Whether `text` begins as an EVENT message."""
    cdef const char* end = text + size
    text = skip_space(text, end)
    if text == end or text[0] != c"[":
        return False
    text = skip_space(text + 1, end)
    if end - text < 7 or memcmp(text, b'"EVENT"', 7):
        return False
    text = skip_space(text + 7, end)
    return text < end and text[0] == c","


cdef inline bint unhex(const char* text, uint8_t* out) noexcept nogil:
    """The 32 bytes that 64 lower-case hexadecimal digits stand for. False: they are none."""
    cdef uint8_t high, low, wrong = 0
    cdef int at
    for at in range(32):
        high = PYLON_DIGIT[<uint8_t>text[2 * at]] - 1
        low = PYLON_DIGIT[<uint8_t>text[2 * at + 1]] - 1
        wrong |= high | low
        out[at] = <uint8_t>(high << 4 | low)
    return wrong < 16


cdef inline const char* find_key(const char* text, const char* end) noexcept nogil:
    """The first `"id"` of a text, or NULL: whole blocks without a branch, which compilers turn into vector instructions."""
    cdef const char* found
    cdef uint8_t near
    cdef int at
    while end - text >= BLOCK + 4:
        near = 0
        for at in range(BLOCK):
            near |= (
                <uint8_t>(text[at] == c'"') & <uint8_t>(text[at + 1] == c"i")
                & <uint8_t>(text[at + 2] == c"d") & <uint8_t>(text[at + 3] == c'"')
            )
        if near:
            return <const char*>memmem(text, BLOCK + 3, b'"id"', 4)
        text += BLOCK
    return <const char*>memmem(text, end - text, b'"id"', 4)


cdef inline const char* claimed_id(const char* text, Py_ssize_t size, uint8_t* out) noexcept nogil:
    """Where the 64 digits stand that are the value of the first key `id` with such a value, and what they stand for; or NULL."""
    cdef const char* end = text + size
    cdef const char* value
    if size >= 1 + 6 + DIGITS + 1 and memcmp(text + 1, b'"id":"', 6) == 0 and text[71] == c'"' and unhex(text + 7, out):
        return text + 7  # as most relays write it
    while True:
        text = find_key(text, end)
        if text == NULL:
            return NULL
        text += 4
        value = skip_space(text, end)
        if value == end or value[0] != c":":
            continue
        value = skip_space(value + 1, end)
        if end - value >= DIGITS + 2 and value[0] == c'"' and value[DIGITS + 1] == c'"' and unhex(value + 1, out):
            return value + 1
