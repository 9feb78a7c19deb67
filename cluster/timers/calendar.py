"""A cron line as systemd's timers write it, their ``OnCalendar``, and when it comes next. Pure."""

from __future__ import annotations

import re
from datetime import date as day_of
from datetime import datetime, timedelta
from itertools import pairwise, product

from cluster.problems import Problem

_WORDS = {f"@{word}": word for word in ("hourly", "daily", "weekly", "monthly", "yearly")} | {
    "@annually": "yearly",
    "@midnight": "daily",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PIECE = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)
_AS_CRON = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * mon",  # as systemd has it; cron's is Sunday
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_DAYS_AHEAD = 366 * 8 + 1
"""To the next 29 February, wherever one begins: 2096 to 2104 is the longest way."""
_FIRST = day_of(2090, 1, 1)
"""The longest way from one 29 February to the next is ahead of it."""
_EXAMPLE = "write five fields: minute, hour, day, month, weekday; for example '17 * * * *'"


def on_calendar(cron: str) -> str:
    """Return a cron line as ``OnCalendar``. Raises ValueError with the reason."""
    if cron.strip() in _WORDS:
        return _WORDS[cron.strip()]
    minute, hour, day, month, weekday = _fields(cron)
    if day is not None and weekday is not None:
        # cron runs where either fits, a timer where both do: no one line says it.
        raise ValueError("names days of the month and of the week at once, which a timer cannot do")
    days = sorted({(each % 7) for each in weekday}) if weekday is not None else []
    names = ",".join(_DAYS[each].capitalize() for each in days)
    return f"{f'{names} ' if names else ''}*-{_joined(month)}-{_joined(day)} {_joined(hour)}:{_joined(minute)}:00"


def problem(path: str, cron: str) -> Problem | None:
    """Return what is wrong with the cron line at ``path`` of the settings."""
    try:
        on_calendar(cron)
    except ValueError as error:
        return Problem(path, cron, str(error), _EXAMPLE)
    return None


def go_cron(cron: str) -> str:
    """Return a cron line as Go's robfig/cron reads it with its field for seconds: numbers only, Sunday is 0.

    Raises ValueError for a line that is none.
    """
    minute, hour, day, month, weekday = _fields(_AS_CRON.get(cron.strip(), cron))
    days = sorted({each % 7 for each in weekday}) if weekday is not None else None
    fields = ([0], minute, hour, day, month, days)
    return " ".join("*" if each is None else ",".join(map(str, each)) for each in fields)


def following(cron: str, moment: datetime) -> datetime:
    """Return the first moment after ``moment`` that a cron line names, in the same time zone; all its fields must fit.

    Raises ValueError for a line that is none, or that names a day which never comes (30 February).
    """
    minute, hour, day, month, weekday = _fields(_AS_CRON.get(cron.strip(), cron))
    days = {each % 7 for each in weekday} if weekday is not None else None
    date = moment.date()
    for _ in range(_DAYS_AHEAD):
        fits = (month is None or date.month in month) and (day is None or date.day in day)
        if fits and (days is None or date.isoweekday() % 7 in days):
            for time in product(hour or range(24), minute or range(60)):
                found = moment.replace(
                    year=date.year,
                    month=date.month,
                    day=date.day,
                    hour=time[0],
                    minute=time[1],
                    second=0,
                    microsecond=0,
                )
                if found > moment:
                    return found
        date += timedelta(days=1)
    raise ValueError("names a day that never comes")


def longest(cron: str) -> timedelta:
    """Return the longest time between two moments that follow each other in a cron line, without changes of the clock.

    Raises ValueError as ``following`` does.
    """
    minute, hour, day, month, weekday = _fields(_AS_CRON.get(cron.strip(), cron))
    days = {each % 7 for each in weekday} if weekday is not None else None
    in_a_day = [timedelta(hours=each[0], minutes=each[1]) for each in product(hour or range(24), minute or range(60))]
    dates = [
        date
        for date in (_FIRST + timedelta(days=number) for number in range(2 * _DAYS_AHEAD))
        if (month is None or date.month in month)
        and (day is None or date.day in day)
        and (days is None or date.isoweekday() % 7 in days)
    ]
    if len(dates) < 2:
        raise ValueError("names a day that never comes")
    over_night = max(later - earlier for earlier, later in pairwise(dates)) + in_a_day[0] - in_a_day[-1]
    return max([over_night, *(later - earlier for earlier, later in pairwise(in_a_day))])


def _fields(cron: str) -> list[list[int] | None]:
    fields = cron.split()
    if len(fields) != len(_FIELDS):
        raise ValueError("is not a cron line")
    return [_values(text, *field) for text, field in zip(fields, _FIELDS, strict=True)]


def _values(text: str, name: str, least: int, most: int) -> list[int] | None:
    """Return the numbers that a field names; None for all of them."""
    if text == "*":
        return None
    found: set[int] = set()
    for piece in text.split(","):
        match = _PIECE.fullmatch(piece)
        if match is None:
            raise ValueError(f"is not a cron line: its {name} is {piece!r}")
        star, first, last, step = match.groups()
        low = least if star else _number(first, name, least, most)
        high = most if star or (step and last is None) else _number(last or first, name, least, most)
        if low > high or (step and int(step) == 0):
            raise ValueError(f"is not a cron line: its {name} is {piece!r}")
        found.update(range(low, high + 1, int(step or 1)))
    return sorted(found)


def _number(text: str, name: str, least: int, most: int) -> int:
    words = {"month": _MONTHS, "weekday": _DAYS}.get(name, ())
    word = text.lower()
    value = words.index(word) + (name == "month") if word in words else int(text) if text.isdigit() else -1
    if not least <= value <= most:
        raise ValueError(f"is not a cron line: its {name} {text!r} is not in {least}-{most}")
    return value


def _joined(values: list[int] | None) -> str:
    return "*" if values is None else ",".join(f"{each:02}" for each in values)
