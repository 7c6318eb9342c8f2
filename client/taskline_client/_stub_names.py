"""Names for what has none in Python: unique, never a keyword, and always the same. Pure."""

import builtins
import keyword
import re
from hashlib import sha256

# What the module itself uses.
_TAKEN = frozenset(
    {"Any", "Literal", "NotRequired", "TaskType", "TypeAlias", "TypedDict", "Union", *dir(builtins)}
)
_TYPES = ("bool", "dict", "float", "int", "list", "str", "tuple")
_DIGITS = 8  # of a digest, which tell names apart
_WORD = re.compile(r"[A-Za-z0-9]+")


class Names:
    """Gives each owner its name.

    A name that several ask for goes to none of them: each gets it with a digest of what it is,
    so that a name never means something else once there are more. Who asks has to be known
    before: from names that were given to the same owners.
    """

    def __init__(self, asked: "Names | None" = None) -> None:
        """Without those that were asked before, the names do not tell all owners apart."""
        self._known = asked._owners if asked else {}
        # By the name that they ask for.
        self._owners: dict[str, set[str]] = {}

    def of_class(self, text: str, owner: str) -> str:
        """As in "text.count_words": TextCountWords."""
        return self._given(plain_class(text), owner)

    def of_constant(self, text: str) -> str:
        """As in "text.count_words": TEXT_COUNT_WORDS."""
        name = "_".join(_WORD.findall(text)).upper()
        return self._given(name if name and not name[0].isdigit() else f"TASK{name}", text)

    def _given(self, name: str, owner: str) -> str:
        self._owners.setdefault(name, set()).add(owner)
        others = self._known.get(name, set()) - {owner}
        if not others and name not in _TAKEN and not keyword.iskeyword(name):
            return name
        digest = sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()
        digest = digest.upper() if name == name.upper() else digest
        length = _DIGITS
        while f"{name}_{digest[:length]}" in self._known:  # somebody's own name
            length += 1
        return f"{name}_{digest[:length]}"


def plain_class(text: str) -> str:
    """The name that a class asks for."""
    name = "".join(word[:1].upper() + word[1:] for word in _WORD.findall(text))
    return name if name and not name[0].isdigit() else f"Model{name}"


def is_field(name: str) -> bool:
    """Whether it can be written as a field of a class, and means nothing else there.

    In the class, a field hides a type of the same name.
    """
    plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    return plain and not name.startswith("__") and not name[0].isupper() and name not in _TYPES
