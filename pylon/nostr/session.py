"""One conversation with one relay, without the socket: NIP-01 (https://github.com/nostr-protocol/nips/blob/master/01.md) and
NIP-42 (https://github.com/nostr-protocol/nips/blob/master/42.md), the client's side.

The session is told what happened (`opened`, `receive`, `closed`) and is asked what to say (`data_to_send`) and what it learned
(`happenings`). It outlives its connections: subscriptions and unanswered events are said again on the next one.

Hold and replay: what a relay refuses with `auth-required:` is held and said again once our AUTH was accepted, once for each message and
challenge. Nothing waits for a time to pass, and a refusal after the replay is final, so there is no loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from pylon.errors import WireError
from pylon.nostr import message as messages
from pylon.nostr.authentication import Authentication, AuthPhase
from pylon.nostr.bucket import Bucket
from pylon.nostr.event import Signer, VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.nostr.happening import Accepted, AuthFailed, EventsArrived, Happening, Rejected, SubscriptionClosed
from pylon.nostr.message import Challenge, Close, Closed, Deliver, Eose, Notice, Ok, Req
from pylon.nostr.outbox import MAX_OUTBOX, TOO_BIG, Outbox
from pylon.nostr.said import FINAL, MAX_DROPPED, Outgoing, Phase, Request, Said, prefix, readable


class Session:
    """The conversation with the relay at `url`; every AUTH challenge is answered once by each of `signers`. Times are Unix seconds."""

    def __init__(self, url: str, signers: Sequence[Signer]) -> None:
        self.url = url
        self._signers = tuple(signers)
        self._requests: dict[str, Request] = {}
        self._heads: dict[bytes, str] = {}
        self._dropped: deque[str] = deque(maxlen=MAX_DROPPED)
        self._outbox = Outbox()
        self._told: list[Happening] = []
        self._forget_connection(0)

    def _forget_connection(self, now: int) -> None:
        self.is_open = False
        self.abusive = False
        self._heard = now
        self._auth = Authentication(self.url, self._signers)
        self._control: list[bytes] = []
        self._notices = Bucket(16, 1 / 2)
        self._patience = Bucket(100, 1 / 10)

    # What we want

    def subscribe(self, sub: str, filters: Iterable[Filter]) -> None:
        """Ask for `filters` (one at least) under `sub`, now and on every later connection; a changed list replaces the old one."""
        wanted = tuple(filters)
        if not wanted:
            raise ValueError("a subscription has at least one filter")
        request = self._requests.get(sub)
        if request is None:
            self._heads[messages.deliver_head(sub)] = sub
            self._requests[sub] = Request(filters=wanted)
        elif request.filters != wanted:
            request.replace(wanted, self._heard)

    def unsubscribe(self, sub: str) -> None:
        """End a subscription. Events that waited for its EOSE are rejected."""
        request = self._requests.pop(sub, None)
        if request is None:
            return
        del self._heads[messages.deliver_head(sub)]
        self._dropped.append(sub)
        if self.is_open and request.phase in (Phase.SENT, Phase.LIVE):
            self._control.append(messages.encode(Close(sub)))
        if request.phase is not Phase.LIVE:
            self._reject_waiting(sub, "error: the subscription that it waited for was ended")
        self._outbox.release_from(sub)

    def retry(self, sub: str) -> None:
        """Ask again for a subscription that the relay ended."""
        request = self._requests.get(sub)
        if request is not None and request.phase is Phase.ENDED:
            request.phase = Phase.WAITING

    def publish(self, event: VerifiedEvent, *, after: str | None = None) -> None:
        """Send `event`, again on every connection until the relay answers; with `after`, not before the EOSE of that subscription."""
        if event.id in self._outbox:
            return
        request = self._requests.get(after) if after is not None else None
        if after is not None and request is None:
            self._told.append(Rejected(event.id, "error: there is no such subscription to wait for"))
        elif request is not None and request.phase is Phase.ENDED and prefix(request.reason) in FINAL:
            self._told.append(Rejected(event.id, request.reason))
        elif len(self._outbox) >= MAX_OUTBOX:
            self._told.append(Rejected(event.id, "error: too many events wait for this relay"))
        else:
            self._outbox.put(event.id, Outgoing(text=messages.publish(event.raw), after=after))

    def forget(self, event_id: str) -> None:
        """Stop sending an event that was not answered."""
        self._outbox.forget(event_id)

    # What we say and what we learned

    @property
    def authenticated(self) -> frozenset[str]:
        """Our public keys (64 hex) that this relay has accepted on this connection."""
        return self._auth.accepted

    @property
    def authenticating(self) -> bool:
        """An AUTH was signed and not answered; everything else is held."""
        return self._auth.phase is AuthPhase.PENDING

    @property
    def usable(self) -> bool:
        """Open, and authenticated where the relay wants that: nothing waits for an AUTH, and none was refused."""
        held = self._outbox.held() or any(request.phase is Phase.HELD for request in self._requests.values())
        return self.is_open and not held and self._auth.phase in (AuthPhase.NONE, AuthPhase.DONE)

    def live(self, sub: str) -> bool:
        """Whether the stored events of `sub` have all come on this connection."""
        request = self._requests.get(sub)
        return request is not None and request.phase is Phase.LIVE

    def happenings(self) -> list[Happening]:
        """What was learned since the last call, in order."""
        told, self._told = self._told, []
        return told

    def data_to_send(self, budget: int = 65_536) -> list[bytes]:
        """The next texts for the relay, about `budget` bytes of them; empty when there is nothing to say now."""
        if not self.is_open:
            return []
        texts, self._control = self._control, []
        if self.authenticating:
            return texts
        tried = self._auth.answers
        for sub, request in self._requests.items():
            if request.phase is Phase.WAITING:
                texts.append(messages.encode(Req(sub, request.send(tried))))
        return texts + self._outbox.take(budget, tried, self.live)

    # What happened

    def opened(self, now: int) -> None:
        """A connection is there."""
        self._forget_connection(now)
        self.is_open = True

    def closed(self, code: int | None = None) -> None:
        """The connection has ended, with the relay's close `code`. Subscriptions and unanswered events wait for the next one."""
        if code == TOO_BIG and (longest := self._outbox.longest_sent()) is not None:
            self._reject(longest, "invalid: too big for this relay")  # sent again, it would end the next connection too
        for request in self._requests.values():
            request.reset(self._heard)
        self._outbox.reset()
        self._forget_connection(self._heard)

    def auth_timed_out(self) -> None:
        """The relay has not answered our AUTH in time: say what is held, once."""
        self._auth.timed_out()
        self._release()

    def strike(self) -> None:
        """Note one offence (garbage, a forged event, an event nobody asked for); `abusive` is set when there are too many."""
        if not self._patience.take(self._heard):
            self.abusive = True

    def receive(self, texts: Iterable[bytes], now: int) -> None:
        """The relay said `texts`, whole messages in order. Garbage is counted, never raised."""
        self._heard = now
        run: EventsArrived | None = None
        for text in texts if self.is_open else ():
            # An EVENT for one of our subscriptions in the usual spelling is not even parsed: the check refuses what is none.
            sub = self._heads.get(text[: text.find(b'",', 10) + 2])
            if sub is not None and text.endswith(b"}]"):
                if run is None or run.sub != sub:
                    run = EventsArrived(sub, [], self._requests[sub].matching())
                    self._told.append(run)
                run.texts.append(text)
                continue
            run = None
            try:
                self._received(messages.decode_relay(text))
            except WireError:
                self.strike()

    def _received(self, said: messages.RelayMessage) -> None:
        match said:
            case Deliver(sub, raw):
                if sub in self._requests:
                    self._told.append(EventsArrived(sub, [raw], self._requests[sub].matching()))
                elif sub not in self._dropped:
                    raise WireError("invalid: an event for no subscription of ours")
            case Eose():
                self._eose(said)
            case Ok():
                self._ok(said)
            case Closed():
                self._closed(said)
            case Challenge(challenge):
                self._challenged(challenge)
            case Notice(words):
                if not self._notices.take(self._heard):
                    raise WireError("rate-limited: too many notices")
                self._told.append(Notice(readable(words)))

    def _eose(self, said: Eose) -> None:
        request = self._requests.get(said.sub)
        if request is not None and request.phase is Phase.SENT and request.eose(self._heard):
            self._told.append(said)

    def _ok(self, said: Ok) -> None:
        reason = readable(said.message)
        answer = self._auth.answered(said.id, said.accepted, reason)
        if answer is not None:
            self._told.append(answer)
            self._release()
            return
        outgoing = self._outbox.get(said.id)
        if outgoing is None or outgoing.phase is not Phase.SENT:
            return  # an answer to nothing that was asked, or a second one
        # NIP-01, "duplicate": the relay has the event, whatever the truth value before the word
        if said.accepted or prefix(reason) == "duplicate":
            self.forget(said.id)
            self._told.append(Accepted(said.id, reason))
        elif prefix(reason) == "auth-required" and self._auth.may_replay(outgoing.tried):
            self._hold(outgoing, reason)
            self._outbox.put(said.id, outgoing)
        else:
            self._reject(said.id, self._auth.explained(reason))

    def _closed(self, said: Closed) -> None:
        request = self._requests.get(said.sub)
        if request is None or request.phase not in (Phase.SENT, Phase.LIVE):
            return
        request.covered_until(self._heard)
        reason = readable(said.message)
        if prefix(reason) == "auth-required" and self._auth.may_replay(request.tried):
            self._hold(request, reason)
        elif request.filters != request.asked:
            request.phase = Phase.WAITING  # what was closed is not what is wanted by now
        else:
            self._end(said.sub, request, self._auth.explained(reason))

    def _challenged(self, challenge: str) -> None:
        before = self._auth.challenge
        self._control += self._auth.challenged(challenge, self._heard)
        if not self._signers and before != challenge:
            self._told.append(AuthFailed("", "there is no key to sign with"))
            self._release()

    # Hold and replay

    def _hold(self, said: Said, reason: str) -> None:
        """Until the AUTH is answered; what crossed its OK on the way is said again at once."""
        said.phase = Phase.WAITING if self._auth.phase is AuthPhase.DONE else Phase.HELD
        said.reason = reason

    def _release(self) -> None:
        """The AUTH was answered: replay what was held, or refuse it for good."""
        if self._auth.phase is AuthPhase.DONE:
            for request in self._requests.values():
                # a new challenge revives what ended under the old one
                closed_for_auth = request.phase is Phase.ENDED and prefix(request.reason) == "auth-required"
                if request.phase is Phase.HELD or (closed_for_auth and request.tried != self._auth.challenge):
                    request.phase = Phase.WAITING
            for event_id, outgoing in self._outbox.held():
                outgoing.phase = Phase.WAITING
                self._outbox.put(event_id, outgoing)
        elif self._auth.phase is AuthPhase.FAILED:
            for sub, request in self._requests.items():
                if request.phase is Phase.HELD:
                    self._end(sub, request, self._auth.explained(request.reason))
            for event_id, outgoing in self._outbox.held():
                self._reject(event_id, self._auth.explained(outgoing.reason))

    def _end(self, sub: str, request: Request, reason: str) -> None:
        request.phase, request.reason = Phase.ENDED, reason
        final = prefix(reason) in FINAL
        self._told.append(SubscriptionClosed(sub, reason, final))
        if final:
            self._reject_waiting(sub, reason)

    def _reject_waiting(self, sub: str, reason: str) -> None:
        for event_id in self._outbox.parked(sub):
            self._reject(event_id, reason)

    def _reject(self, event_id: str, reason: str) -> None:
        self._outbox.forget(event_id)
        self._told.append(Rejected(event_id, reason))
