"""With encryption keys, who has a dump has nothing, and nobody is logged out."""

from __future__ import annotations

from ..mutant import Mutant

_UNIT = "unit/test_encryption.py::"
_TESTS = "integration/encryption/test_encrypted.py::"
_FILE = "store/encryption.py"

MUTANTS = (
    Mutant(
        name="encryption-of-any-place",
        file=_FILE,
        old="aead.encrypt(nonce, body[cut:], head + where)",
        new="aead.encrypt(nonce, body[cut:], head)",
        breaks="what was encrypted is bound to where it is stored, and readable there",
        found_by=f"{_UNIT}test_what_was_encrypted_comes_back_and_shows_nothing[record]",
    ),
    Mutant(
        name="encryption-leaves-plain-what-is-written",
        file="store/record.py",
        old="        if self._encrypts and self._cipher:\n            return"
        " self._cipher.encrypt(key, body, cut)\n",
        new="",
        breaks="with keys, what is written is encrypted",
        found_by=f"{_TESTS}test_a_dump_shows_nothing_of_what_is_kept_and_of_whom"
        "[memory]",
    ),
    Mutant(
        name="encryption-with-the-oldest-key",
        file=_FILE,
        old="self._newest = _name(keys[-1])",
        new="self._newest = _name(keys[0])",
        breaks="the last key encrypts",
        found_by=f"{_UNIT}test_every_key_decrypts_and_the_last_one_encrypts",
    ),
    Mutant(
        name="encryption-leaves-names-to-the-secret-key",
        file=_FILE,
        old="return [*secret_keys, *self.keys]",
        new="return [*secret_keys]",
        breaks="with keys, who has the SECRET_KEY and a dump cannot tell who is listed",
        found_by=f"{_TESTS}test_who_has_the_secret_key_and_a_dump_cannot_tell_who_is"
        "_listed[memory]",
    ),
    Mutant(
        name="encryption-forgets-names-of-before",
        file=_FILE,
        old="return [*secret_keys, *self.keys]",
        new="return [*self.keys]",
        breaks="who was listed before there were keys is found",
        found_by=f"{_TESTS}test_plain_sessions_go_on_and_are_encrypted_when_they_are"
        "_written[memory]",
    ),
    Mutant(
        name="encryption-of-the-untouched-renews-them",
        file="store/regeneration.py",
        old="values=values, places=wanted, indexing=indexing, flags=flags\n",
        new="values=values, places=wanted, indexing=indexing, flags=flags,\n"
        "            last_seen=int(store.clock())\n",
        breaks="a session that is encrypted ends when it would have ended",
        found_by="integration/encryption/test_rewriting.py::test_untouched_sessions_are"
        "_encrypted_and_go_on_as_they_were[memory]",
    ),
    Mutant(
        name="encryption-of-the-untouched-leaves-old-names",
        file="store/regeneration.py",
        old="leaving = gained(wanted, before)",
        new="leaving = {}",
        breaks="an encrypted session is listed under new names only",
        found_by="integration/encryption/test_rewriting.py::test_untouched_sessions_are"
        "_encrypted_and_go_on_as_they_were[memory]",
    ),
    Mutant(
        name="erase-leaves-epochs",
        file="commands/personal.py",
        old="    backend.erase([store.lists.name(name) for name in names])\n",
        new="    backend.erase([])\n",
        breaks="nothing is left of a person who is erased",
        found_by="integration/cli/test_personal.py::test_erase_leaves_nothing_of_a_person"
        "_and_all_of_others[plain-memory]",
    ),
    Mutant(
        name="erase-takes-lists-with-members",
        file="backends/cell_index.py",
        old="if roll and _living(roll.members, self._clock()):",
        new="if False:",
        breaks="who signs in after the erasure stays listed",
        found_by="integration/cli/test_personal.py::test_a_login_that_began_before_is"
        "_refused_and_a_later_one_stays[memory]",
    ),
    Mutant(
        name="export-tells-values-unasked",
        file="commands/personal.py",
        old="_values(store, live) if values else sorted(live.record.values)",
        new="_values(store, live)",
        breaks="export tells values only if asked",
        found_by="integration/cli/test_personal.py::test_export_tells_what_is_kept_and_the"
        "_values_only_if_asked[memory]",
    ),
    Mutant(
        name="encryption-asks-the-service-again",
        file="keyring.py",
        old="            if callable(given):\n",
        new="            self._asked.clear()\n            if callable(given):\n",
        breaks="a service is asked once for each key",
        found_by=f"{_TESTS}test_a_service_is_asked_once_for_each_key[memory]",
    ),
    Mutant(
        name="encryption-without-service-is-a-500",
        file="keyring.py",
        old='raise BackendError("keys", quick=True) from error',
        new="raise",
        breaks="a service that is down is an outage",
        found_by=f"{_TESTS}test_a_service_that_is_down_is_an_outage_and_no_logout"
        "[memory]",
    ),
)
