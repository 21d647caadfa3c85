import pytest

from mocknode.mock.halibut import ResponseMessage, ServerError
from mocknode.mock.tentacle.records import ERROR_MAX, error_of


@pytest.mark.parametrize(
    ("message", "noted"),
    [
        ("no such script", "no such script"),
        ("x" * ERROR_MAX, "x" * ERROR_MAX),
        ("x" * (ERROR_MAX + 1), "x" * ERROR_MAX + f"... ({ERROR_MAX + 1} characters)"),
    ],
)
def test_a_record_holds_the_beginning_of_what_a_tentacle_says(message: str, noted: str) -> None:
    assert error_of(ResponseMessage(id="1", error=ServerError(message=message, details=None))) == noted


def test_an_answer_without_error_has_none() -> None:
    assert error_of(ResponseMessage(id="1", result=None)) is None
