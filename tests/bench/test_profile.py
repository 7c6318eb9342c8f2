from bench.profile import calls_and_us, innermost


def test_a_cost_is_told_by_the_innermost_function_without_its_line() -> None:
    stacks = [
        "main (a.py:1);inner (b.py:2) 3",
        "main (a.py:1);inner (b.py:9) 4",
        "main (a.py:1) 5",
    ]

    assert innermost(stacks) == {"inner (b.py)": 7, "main (a.py)": 5}


def test_waiting_costs_nothing() -> None:
    assert innermost(["main (a.py:1);EpollSelector.select (selectors.py:468) 9"]) == {}


def test_what_the_store_tells_of_a_command_is_understood() -> None:
    assert calls_and_us("calls=3,usec=120,usec_per_call=40.00,failed_calls=0") == (3, 120)
