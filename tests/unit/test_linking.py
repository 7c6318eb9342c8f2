"""What a script of the store has before it."""

from taskline_service.store.linking import linked

SHARED = """-- About all of them.
local PREFIX = KEYS[1]
local one, other = 1, 2

-- Says it.
local function say(what)
  return PREFIX .. what
end

local function greet()
  local unused = 'other'  -- not even other
  return say('hello')
end

local PARTS = {}

PARTS.first = function()
  return one
end
"""


def definitions(script: str) -> list[str]:
    return [line for line in script.splitlines() if line[:1] not in {" ", "-", "", "e"}]


def test_a_script_that_needs_nothing_has_nothing_before_it() -> None:
    assert linked("return 1", [SHARED]) == "return 1"


def test_what_is_needed_comes_with_what_that_needs_in_order() -> None:
    script = linked("return greet()", [SHARED])

    assert definitions(script) == [
        "local PREFIX = KEYS[1]",
        "local function say(what)",
        "local function greet()",
        "return greet()",
    ]


def test_texts_and_comments_need_nothing() -> None:
    assert linked("return 'greet' -- greet", [SHARED]) == "return 'greet' -- greet"


def test_a_table_comes_with_its_parts() -> None:
    script = linked("return PARTS[1]()", [SHARED])

    assert definitions(script) == [
        "local one, other = 1, 2",
        "local PARTS = {}",
        "PARTS.first = function()",
        "return PARTS[1]()",
    ]


def test_a_later_text_can_use_an_earlier_one() -> None:
    script = linked("return shout()", [SHARED, "local function shout()\n  return say('!')\nend\n"])

    assert definitions(script)[-2:] == ["local function shout()", "return shout()"]
