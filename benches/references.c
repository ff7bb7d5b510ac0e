/* Loops over libsecp256k1, so that one call of C does the work of many: what references.py compiles with the sources that the crate
   secp256k1-sys vendors. The crate gives every public name a prefix of its own, which NAME adds. */
#include <stddef.h>
#include <stdlib.h>

#include "include/secp256k1_preallocated.h"
#include "include/secp256k1_schnorrsig.h"

/* 1 if all n signatures (64 bytes each) of messages (32) by x-only keys (32) hold. */
int verify_all(size_t n, const unsigned char *keys, const unsigned char *signatures, const unsigned char *messages) {
    const NAME(context) *context = NAME(context_static);
    NAME(xonly_pubkey) key;
    for (size_t i = 0; i < n; i++)
        if (!NAME(xonly_pubkey_parse)(context, &key, keys + 32 * i) ||
            !NAME(schnorrsig_verify)(context, signatures + 64 * i, messages + 32 * i, 32, &key)) return 0;
    return 1;
}

/* Signs n messages (32 bytes each) with one keypair, made once a call, and 32 bytes of auxiliary randomness; 0 if it cannot. */
int sign_all(size_t n, const unsigned char *secret, const unsigned char *messages, const unsigned char *aux, unsigned char *signatures) {
    static NAME(context) *context;
    NAME(keypair) keypair;
    if (!context) {
        void *room = malloc(NAME(context_preallocated_size)(SECP256K1_CONTEXT_NONE));
        if (!room) return 0;
        context = NAME(context_preallocated_create)(room, SECP256K1_CONTEXT_NONE);
    }
    if (!NAME(keypair_create)(context, &keypair, secret)) return 0;
    for (size_t i = 0; i < n; i++)
        if (!NAME(schnorrsig_sign32)(context, signatures + 64 * i, messages + 32 * i, &keypair, aux)) return 0;
    return 1;
}
