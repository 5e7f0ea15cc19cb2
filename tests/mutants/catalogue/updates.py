"""No update is lost, and none is made twice."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="compute-is-not-repeated",
        file="draft.py",
        old="if stored == self.before:",
        new="if True:",
        breaks="twenty increments at once make exactly twenty",
        found_by="unit/test_draft.py::test_computations_over_one_base_add_up",
    ),
    Mutant(
        name="what-cannot-be-stored-becomes-text",
        file="serializers.py",
        old='raise TypeError(f"a {type(value).__name__} cannot be stored in a '
        'session")',
        new="return str(value)",
        breaks="what would not survive is refused when it is saved",
        found_by="unit/test_serializers.py::test_what_would_not_survive_is_refused",
    ),
    Mutant(
        name="an-unknown-type-is-unpickled",
        file="serializers.py",
        old='raise ValueError(f"unknown extension type {code}")',
        new='return __import__("pickle").loads(data)',
        breaks="no fallback decoder, no pickle anywhere",
        found_by="unit/test_serializers.py::test_bytes_that_are_no_value_are_an_error",
    ),
    Mutant(
        name="the-json-serializer-falls-back-to-msgpack",
        file="serializers.py",
        old="return self._tagged.dumps(value)",
        new="return MsgpackSerializer().dumps(value) or self._tagged.dumps(value)",
        breaks="json is Flask's tagged JSON",
        found_by="unit/test_serializers.py::test_what_flask_keeps_comes_back_as_it_was",
    ),
    Mutant(
        name="a-refusal-names-the-whole-value",
        file="serializers.py",
        old='return _culprit(serializer, f"{path}[{key!r}]", part, depth - 1)',
        new="return path, part",
        breaks="what cannot be stored is refused with its path",
        found_by="unit/test_serializers.py::"
        "test_a_refusal_names_the_path_and_the_type_but_never_the_value",
    ),
)
