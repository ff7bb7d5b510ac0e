"""The config.toml that `pylon init` writes: every setting with its default, said in a line."""

from __future__ import annotations

TEMPLATE = """\
# Pylon's settings. Delete a line to get its default back; an unknown key is an error, with its line.

# Relays where jobs are offered and asked for. On regtest only the local one, which the node starts itself when nobody listens there:
# worthless invoices and your prompts have no place on public relays. On a real network, these were the release's three:
#   "wss://nexus.openagents.com", "wss://relay.damus.io", "wss://nos.lol"
relays = ["ws://127.0.0.1:7700"]

# regtest | signet | testnet | mainnet. An invoice of another network is never paid.
network = "regtest"

[provider]
min_price_msats = 1000        # the least a request costs, in millisats
price_per_1k_msats = 0        # and for every 1,000 tokens (prompt and answer)
require_payment = true        # false: answer for nothing
# slots = 2                   # jobs computed at a time; unset: as many as the backend has
queue = 64                    # jobs accepted and waiting, at most
# default_model = ""          # for requests that name no model; unset: one that is loaded

[wallet]
# backend = "sim"             # unset: the best one built in
# max_fee_msats = 5000        # the most a payment may cost above its amount
# channels = 1                # to the hub; each carries about 25 payments at a time
# chain = "ssl://electrum.example.org:50002"   # where blocks come from, on a real network
# lsp = ""                    # node_id@host:port of who sells inbound room (LSPS2), on a real network
# lsp_token = ""              # and what it asks new customers for

[wallet.limits]               # of spending, in sats with the fees; 0: none. mainnet needs the first two
# per_job_sats = 100
# per_day_sats = 5000         # within 24 hours
# per_peer_sats = 1000        # to one provider within 24 hours
# total_sats = 100000         # ever
# allow = []                  # providers (npub) and nodes (hex) that may be paid; empty: all
# failures = 5                # so many in a row stop paying
# cool_down = 600             # for so many seconds

[backends]
# use = ["llama-server", "ollama", "embedded"]
urls = []                     # other addresses: llama-server, Ollama, or anything OpenAI-compatible, e.g. "http://127.0.0.1:8000"

[nexus]
# port = 7700
# urls = ["wss://relay.example.org"]   # names under which clients reach this relay
"""
