"""The AUTH of one connection, the client's side (NIP-42, https://github.com/nostr-protocol/nips/blob/master/42.md).

Every challenge is answered by one event of kind 22242 for each of our keys. "Relays ... MUST accept multiple pubkeys", so the answer is
complete when each of them got its OK; one accepted key is enough to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from pylon.errors import InvalidEvent, WireError
from pylon.nostr import message as messages
from pylon.nostr.bucket import Bucket
from pylon.nostr.event import Signer, sign
from pylon.nostr.happening import Authenticated, AuthFailed
from pylon.nostr.message import Auth
from pylon.nostr.nip42 import auth_draft

MAX_CHALLENGE: Final = 1024
"""Characters. NIP-42 names no bound; relays send 8 to 64."""
SIGNINGS: Final = 8
"""Challenges that are answered at once; one more a minute. A flood of them must not make us sign without end."""


class AuthPhase(Enum):
    """Of the present challenge."""

    NONE = "no challenge"
    PENDING = "signed, no answer yet"
    DONE = "accepted, or not answered in time"
    FAILED = "refused"


class Authentication:
    """What was asked and what was answered on one connection to `url`."""

    def __init__(self, url: str, signers: Sequence[Signer]) -> None:
        self.url = url
        self.signers = signers
        self.phase = AuthPhase.NONE
        self.challenge: str | None = None
        self.accepted: frozenset[str] = frozenset()
        """Public keys (64 hex) whose AUTH for this challenge has its OK."""
        self._attempts: dict[str, str] = {}
        self._refusal = ""
        self._signings = Bucket(SIGNINGS, 1 / 60)

    def challenged(self, challenge: str, now: int) -> list[bytes]:
        """The AUTH messages that answer `challenge`; none for the challenge that was answered already. Raises WireError on abuse."""
        if challenge == self.challenge:
            return []
        if not 0 < len(challenge) <= MAX_CHALLENGE:
            raise WireError("invalid: an AUTH challenge of this length")
        if not self._signings.take(now):
            raise WireError("rate-limited: too many AUTH challenges")
        draft = auth_draft(self.url, challenge, now)
        try:
            answers = [sign(draft, signer) for signer in self.signers]
        except InvalidEvent as error:
            raise WireError("invalid: an AUTH challenge that cannot be signed") from error
        # "The challenge is valid for the duration of the connection or until another challenge is sent by the relay."
        self.challenge, self.accepted, self._refusal = challenge, frozenset(), ""
        self._attempts = {answer.id: answer.pubkey for answer in answers}
        self.phase = AuthPhase.PENDING if answers else AuthPhase.FAILED
        return [messages.encode(Auth(answer.raw)) for answer in answers]

    @property
    def answers(self) -> str | None:
        """The challenge under which something is said now; None while none was answered."""
        return self.challenge if self.phase is AuthPhase.DONE else None

    def may_replay(self, tried: str | None) -> bool:
        """Whether what was said under `tried` and refused may be said again: once for each challenge, never after a failed AUTH."""
        if not self.signers or self.phase is AuthPhase.FAILED:
            return False
        return self.challenge is None or tried != self.challenge

    def answered(self, event_id: str, accepted: bool, reason: str) -> Authenticated | AuthFailed | None:
        """What an OK says about one of our keys; None where it answers something else."""
        pubkey = self._attempts.pop(event_id, None)
        if pubkey is None:
            return None
        if accepted:
            self.accepted |= {pubkey}
        else:
            self._refusal = reason
        if not self._attempts:
            self.phase = AuthPhase.DONE if self.accepted else AuthPhase.FAILED
        return Authenticated(pubkey) if accepted else AuthFailed(pubkey, reason)

    def explained(self, reason: str) -> str:
        """The relay's `reason` to refuse something, with the one why it has refused our AUTH where that is behind it."""
        return f"{reason} (AUTH was refused: {self._refusal})" if self._refusal and reason.startswith("auth-required:") else reason

    def timed_out(self) -> None:
        """No answer in time: go on as if it had been accepted; a refusal that follows is final."""
        if self.phase is AuthPhase.PENDING:
            self.phase = AuthPhase.DONE
