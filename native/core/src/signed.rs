//! Events of our own as JSON: what the canonical bytes hold already is copied, not written again.

use crate::json;

/// The event's JSON object, in the field order of NIP-01, from the canonical bytes that `event::Canonical` built.
#[must_use]
pub fn json(canonical: &[u8], id: &[u8; 32], signature: &[u8; 64]) -> Vec<u8> {
    // [0,"<pubkey>",<created_at>,<kind>,<tags>,<content>]
    let pubkey = &canonical[4..68];
    let mut start = 70;
    let created_at = digits(canonical, &mut start);
    let kind = digits(canonical, &mut start);
    let end = json::after_tags(canonical, start).unwrap_or(start);
    let (tags, content) = (&canonical[start..end], &canonical[end + 1..canonical.len() - 1]);

    let mut out = Vec::with_capacity(canonical.len() + 320);
    out.extend_from_slice(b"{\"id\":\"");
    hex(id, &mut out);
    for (name, value) in [
        (&b"\",\"pubkey\":\""[..], pubkey),
        (b"\",\"created_at\":", created_at),
        (b",\"kind\":", kind),
        (b",\"tags\":", tags),
        (b",\"content\":", content),
    ] {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b",\"sig\":\"");
    hex(signature, &mut out);
    out.extend_from_slice(b"\"}");
    out
}

/// The number at `at`, which moves on to what stands behind its comma.
fn digits<'a>(text: &'a [u8], at: &mut usize) -> &'a [u8] {
    let start = *at;
    let length = text[start..].iter().take_while(|c| c.is_ascii_digit()).count();
    *at += length + 1;
    &text[start..start + length]
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    let _ = faster_hex::hex_encode(bytes, &mut out[start..]); // it has the room
}
