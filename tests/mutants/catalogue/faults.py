"""Faults that real use has found do not come back."""

from __future__ import annotations

from ..mutant import Mutant

INDEXES = "integration/bad_input/test_indexes.py::"

MUTANTS = (
    Mutant(
        name="any-text-is-an-epoch",
        file="backends/base.py",
        old='not re.fullmatch("[0-9a-f]{16}", epoch)',
        new="False",
        breaks="an epoch that somebody else has written is ignored",
        found_by=f"{INDEXES}test_an_epoch_that_is_none_is_ignored_with_a_warning",
    ),
    Mutant(
        name="redis-hands-out-any-epoch",
        file="backends/redis/index_epoch.lua",
        old="if epoch and #epoch == 16 then",
        new="if true then",
        breaks="after a junk epoch a user of Redis can log in",
        found_by=f"{INDEXES}test_an_epoch_that_is_none_is_ignored_with_a_warning",
    ),
    Mutant(
        name="redis-lets-another-type-stand",
        file="backends/redis/backend.py",
        old="if _WRONG_TYPE not in str(error):\n                raise\n            log",
        new="if True:\n                raise\n            log",
        breaks="a value of another type under the name of a list ends no login",
        found_by=f"{INDEXES}test_a_value_of_another_kind_is_no_list",
    ),
    Mutant(
        name="a-junk-member-hides-its-list",
        file="backends/cell_index.py",
        old='text.decode("ascii", "replace")',
        new='text.decode("ascii")',
        breaks="revoke_all ends everything that can be found",
        found_by=f"{INDEXES}test_a_member_that_is_none_is_ignored_with_a_warning",
    ),
    Mutant(
        name="sqlite-wants-text",
        file="backends/sql/drivers.py",
        old='data.decode("utf-8", "replace")',
        new='data.decode("utf-8")',
        breaks="bytes that are no text end no request",
        found_by=f"{INDEXES}test_a_member_that_is_none_is_ignored_with_a_warning",
    ),
    Mutant(
        name="evictions-are-asked-for-once",
        file="backends/redis/backend.py",
        old="pause = ASK_AGAIN_IF_KNOWN if final",
        new='pause = float("inf") if final',
        breaks="a server that may evict from now on is noticed",
        found_by="integration/lists/test_storage.py::TestLoss::"
        "test_redis_that_may_evict_later_is_noticed",
    ),
    Mutant(
        name="another-prefix-is-no-session",
        file="commands/desk.py",
        old="(others := self.store.marker.elsewhere()):",
        new="(others := ()):",
        breaks="a shell with another key prefix does nothing and says so",
        found_by="integration/cli/test_keys.py::"
        "test_with_another_prefix_a_command_names_ours_and_ends_with_3",
    ),
    Mutant(
        name="the-prefix-of-another-app-is-named",
        file="store/marker.py",
        old="if Keeper.OURS in self._keeper_of(prefix)]",
        new="if self._keeper_of(prefix) in Keeper.BOTH]",
        breaks="only prefixes of this very secret key are named",
        found_by="integration/cli/test_keys.py::"
        "test_with_another_prefix_a_command_names_ours_and_ends_with_3",
    ),
    Mutant(
        name="a-cookie-of-another-domain-stays",
        file="interface.py",
        old="if visit.rivals_ended:",
        new="if False:",
        breaks="both variants of the cookie are deleted when its domain was changed",
        found_by="integration/test_real_use.py::TestCookieOfAnotherDomain::"
        "test_a_login_form_works_at_once_and_one_cookie_is_left",
    ),
    Mutant(
        name="flask-gets-no-context",
        file="outages.py",
        old="""if "ctx" in signature(getattr(Flask, method)).parameters:""",
        new="if False:",
        breaks="a refusal is a 409 with Flask's next version, too",
        found_by="integration/test_real_use.py::TestFlaskFromThreeTwoOn::"
        "test_a_refusal_at_the_end_of_a_request_is_a_409",
    ),
    Mutant(
        name="an-event-may-begin-what-nobody-gets",
        file="visit.py",
        old="if self.response_left or self.is_event():\n            raise",
        new="if self.response_left:\n            raise",
        breaks="a login in an event of Flask-SocketIO is refused before it is done",
        found_by="integration/contexts/test_events.py::"
        "test_that_would_need_a_cookie_are_refused_and_the_session_stays",
    ),
    Mutant(
        name="events-that-read-renew-nothing",
        file="arrival.py",
        old="renew(visit, visit.live)  # nobody",
        new="pass  # nobody",
        breaks="events that only read keep a session alive",
        found_by="integration/contexts/test_events.py::"
        "test_that_only_read_keep_a_session_alive",
    ),
    Mutant(
        name="a-cookie-from-the-future-is-none",
        file="arrival.py",
        old="early = Moved(credential.id, None)",
        new="pass",
        breaks="a cookie that another server has just made is not overwritten",
        found_by="integration/cookies/test_clocks.py::"
        "test_a_cookie_from_the_future_is_not_overwritten_and_told_of",
    ),
    Mutant(
        name="a-renewal-counts-as-modified",
        file="visit.py",
        old="self.saved |= changes is not NO_CHANGES or bool(self.intent)",
        new="self.saved = True",
        breaks="modified tells whether the app has changed something",
        found_by="integration/test_session_object.py::"
        "test_modified_stays_true_after_the_session_was_saved",
    ),
    Mutant(
        name="modified-is-over-after-the-save",
        file="visit.py",
        old="self.saved |= changes is not NO_CHANGES or bool(self.intent)",
        new="pass",
        breaks="modified stays true after the session was saved",
        found_by="integration/test_session_object.py::"
        "test_modified_stays_true_after_the_session_was_saved",
    ),
    Mutant(
        name="what-only-messagepack-knows-is-stored",
        file="serializers.py",
        old="if any(map(packed.__contains__, _EXTENDED)):",
        new="if False:",
        breaks="what could not be read again is refused",
        found_by="unit/test_serializers.py::"
        "test_what_only_messagepack_knows_is_refused",
    ),
    Mutant(
        name="a-session-as-found-is-not-revoked",
        file="extension.py",
        old="        return session_id.id\n    if session_id is None",
        new="        return None\n    if session_id is None",
        breaks="a session is ended by what find has returned",
        found_by="integration/test_misuse.py::TestWhichSession::"
        "test_may_be_given_as_it_was_found",
    ),
    Mutant(
        name="a-number-is-no-session",
        file="extension.py",
        old="if session_id is None or isinstance(session_id, str):",
        new="if True:",
        breaks="what cannot be a session's id is a TypeError",
        found_by="integration/test_misuse.py::TestWhichSession::"
        "test_must_be_text_or_as_it_was_found",
    ),
    Mutant(
        name="another-interface-is-not-told",
        file="extension.py",
        old="if other := other_interface(runtime.app):",
        new="if other := None:",
        breaks="another session interface is told by each call",
        found_by="integration/test_misuse.py::TestAnotherInterface::"
        "test_that_is_set_later_is_told_by_each_call",
    ),
    Mutant(
        name="a-wrong-call-is-not-told-the-right-one",
        file="extension.py",
        old="if method.__name__ in BY_KEYWORD and len(args) > 1:",
        new="if False:",
        breaks="a wrong call is told the right one",
        found_by="integration/test_misuse.py::test_a_wrong_call_is_told_the_right_one",
    ),
    Mutant(
        name="a-switch-to-permanent-waits-for-a-rotation",
        file="store/sessions.py",
        old="(live.record.flags ^ PERMANENT) | DUE",
        new="(live.record.flags ^ PERMANENT)",
        breaks="a switch to a permanent session is in this very response",
        found_by="integration/rotation/test_successors.py::TestRotation::"
        "test_a_switch_to_permanent_hands_out_a_cookie_that_lasts",
    ),
    Mutant(
        name="a-token-of-the-same-request-is-dropped",
        file="draft.py",
        old="others = [*{*keys} - self._assigned]",
        new="others = [*keys]",
        breaks="a login drops what was stored before it, no more",
        found_by="integration/login/test_csrf.py::"
        "test_a_token_that_the_same_request_has_made_before_is_kept",
    ),
    Mutant(
        name="an-older-sqlalchemy-is-not-named",
        file="backends/sql/__init__.py",
        old="< (2, 0, 43):",
        new="< (1, 0, 0):",
        breaks="an older SQLAlchemy is named with its version",
        found_by="unit/test_sql_schema.py::"
        "test_an_older_sqlalchemy_is_named_with_its_version",
    ),
    Mutant(
        name="a-table-of-somebody-else-is-not-named",
        file="backends/sql/schema.py",
        old="if columns != {*table.columns.keys()}:",
        new="if False:",
        breaks="a table of somebody else is named",
        found_by="integration/storages/test_databases.py::TestCreateTables::"
        "test_a_table_of_somebody_else_is_left_alone_and_named",
    ),
    Mutant(
        name="a-schema-that-is-not-there-is-not-named",
        file="backends/sql/schema.py",
        old="if schema is not None and schema not in inspector.get_schema_names():",
        new="if False:",
        breaks="a schema that does not exist is named",
        found_by="integration/storages/test_databases.py::TestCreateTables::"
        "test_a_schema_that_does_not_exist_is_named",
    ),
    Mutant(
        name="sqlite-files-are-for-all",
        file="backends/sql/drivers.py",
        old="os.O_CREAT | os.O_EXCL, 0o600",
        new="os.O_CREAT | os.O_EXCL, 0o644",
        breaks="a SQLite file that we create is for its owner only",
        found_by="integration/test_real_use.py::"
        "test_a_sqlite_file_that_we_create_is_for_its_owner_only",
    ),
    Mutant(
        name="a-dict-names-nobody",
        file="login_keys.py",
        old="filter(None, map(name_of, names_in(value).values()))",
        new="iter(())",
        breaks="a dict names its user",
        found_by="unit/test_login_keys.py::test_a_value_names_the_user",
    ),
    Mutant(
        name="one-name-of-several-is-enough",
        file="logins.py",
        old="if named != ({}, {}):",
        new="if False:",
        breaks="another provider's user of the same number is somebody else",
        found_by="integration/login/test_new_id.py::"
        "test_another_user_dict_in_the_same_session_gets_another_id",
    ),
    Mutant(
        name="a-third-login-leaves-the-second-listed",
        file="moves.py",
        old="store.records.redirect(moved.id, created.id)",
        new="pass",
        breaks="of a form that was sent several times one session is left",
        found_by="integration/login/test_again.py::"
        "test_the_form_can_be_sent_any_number_of_times",
    ),
)
