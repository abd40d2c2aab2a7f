"""Files of rates, and from when on each rate is known."""

from datetime import date

import pytest

from returnml.exchange.rate_file import RatesError
from returnml.exchange.rates import Rates
from returnml.instants import day_us
from returnml.sources.exchange_rates import admit, read_quotes

TODAY = date(2025, 3, 20)
NOW = day_us(TODAY) + 1


def written(tmp_path, text):
    file = tmp_path / "rates.csv"
    file.write_text(text)
    return file


def test_long_and_wide_files_say_the_same(tmp_path):
    long = read_quotes(
        written(tmp_path, "day,currency,rate\n2025-03-03,USD,1.04\n2025-03-04,USD,1.05\n2025-03-03,JPY,156\n"), "EUR", TODAY
    )
    wide = read_quotes(written(tmp_path, "Date, USD, JPY,\n2025-03-04, 1.05, N/A,\n2025-03-03, 1.04, 156,\n"), "EUR", TODAY)
    assert long == wide
    assert [(q.currency, q.day.day, q.rate) for q in wide] == [("JPY", 3, "156"), ("USD", 3, "1.04"), ("USD", 4, "1.05")]


def test_everything_wrong_is_named_and_counted_at_once(tmp_path):
    rows = [
        "2025-13-03,USD,1",
        "2025-03-21,USD,1",
        "2025-03-03,usd,1",
        "2025-03-03,EUR,1",
        "2025-03-03,USD,0",
        "2025-03-03,USD,1,0",
    ]
    with pytest.raises(RatesError) as refused:
        read_quotes(written(tmp_path, "day,currency,rate\n" + "\n".join(rows[:5]) + "\n2025-03-03,USD,x\n"), "EUR", TODAY)
    message = str(refused.value)
    assert message.startswith("6 of the file's rates are refused: ")
    for rule in (
        "row 1, USD: '2025-13-03' is no day",
        "[day_in_future]",
        "[currency_unknown]",
        "[own_currency]",
        "'0' is no decimal",
    ):
        assert rule in message
    assert message.endswith("and 1 more")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when,currency,rate\n", "no column 'day' or 'date' among when, currency, rate"),
        ("day,rate\n2025-03-03,1\n", "no column 'currency' beside 'rate'"),
        ("day,currency,rate\n", "no rate in it"),
        ("day,currency,rate\n2025-03-03,USD,1\n2025-03-03,USD,2\n", r"'2': the same day has '1' \[two_rates\]"),
    ],
)
def test_a_file_that_says_nothing_or_two_things_is_refused(tmp_path, text, message):
    with pytest.raises(RatesError, match=message):
        read_quotes(written(tmp_path, text), "EUR", TODAY)


def quotes(tmp_path, **rates):
    rows = "".join(f"2025-03-{day[1:]},USD,{text}\n" for day, text in rates.items())
    return read_quotes(written(tmp_path, "day,currency,rate\n" + rows), "EUR", TODAY)


def admitted(found, recorded=(), now_us=NOW):
    return admit(found, recorded, "EUR", False, "rates.csv", now_us, 7)


def test_history_is_known_from_the_end_of_each_day(tmp_path):
    first = admitted(quotes(tmp_path, d03="1", d04="2"))
    assert [rate.known_at_us for rate in first.rates] == [day_us(date(2025, 3, 4)), day_us(date(2025, 3, 5))]
    assert (first.repeated, first.late) == (0, 0)


def test_what_was_converted_already_keeps_its_rate(tmp_path):
    recorded = admitted(quotes(tmp_path, d03="1", d04="2"), now_us=day_us(date(2025, 3, 5)) + 1).rates
    later = admitted(quotes(tmp_path, d03="1", d04="2.5", d05="3", d19="4"), recorded)
    assert later.repeated == 1
    moments = {(rate.day.day, rate.rate): rate.known_at_us for rate in later.rates}
    assert moments == {(4, "2.5"): NOW, (5, "3"): NOW, (19, "4"): day_us(TODAY)}, "the 19th had no rate young enough"
    assert later.late == 2
    before, after = Rates(recorded, 7), Rates([*recorded, *later.rates], 7)
    for day in range(5, 12):
        at = day_us(date(2025, 3, day)) + 5
        assert after.at("USD", at).rate == before.at("USD", at).rate


def test_the_same_file_again_records_nothing(tmp_path):
    found = quotes(tmp_path, d03="1", d04="2")
    again = admitted(quotes(tmp_path, d03="1.00", d04="2"), admitted(found).rates)
    assert (again.rates, again.repeated) == ((), 2)


def test_digits_beyond_exact_conversion_are_refused(tmp_path):
    with pytest.raises(RatesError, match="too many digits"):
        admitted(quotes(tmp_path, d03="0.1234567890123456789"))
