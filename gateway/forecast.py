"""Bodies of ``POST /api/what-if``; names as in :mod:`gateway.schema`."""

from typing import Annotated, TypeAlias

from msgspec import Meta, field

from actors.domain.words import Priority
from gateway.schema import Asked, Given, Id, Short
from gateway.shapes import Instant
from gateway.staffing import Moment

Count: TypeAlias = Annotated[int, Meta(ge=1, le=1_000)]
Factor: TypeAlias = Annotated[float, Meta(ge=0, le=10)]
Specialty: TypeAlias = Annotated[str, Meta(min_length=1, max_length=40)]


class CloseShift(Asked, frozen=True, kw_only=True, tag_field="kind", tag="close_shift"):
    """A reader stops at an instant, now when none is given."""

    radiologist_id: Id
    at: Moment | None = None


class AddReader(Asked, frozen=True, kw_only=True, tag_field="kind", tag="add_reader"):
    """Somebody more reads until an instant: everything, or one subspecialty."""

    until: Moment
    at: Moment | None = None
    specialty: Specialty | None = None


class SendStudies(Asked, frozen=True, kw_only=True, tag_field="kind", tag="send_studies"):
    """A site, by id or name, sends so many studies within so many seconds."""

    site: Short
    count: Count
    modality: Short
    priority: Priority = Priority.URGENT
    body_part: Short = ""
    over_s: Annotated[float, Meta(gt=0, le=86_400)] = 3_600.0
    at: Moment | None = None


class ScaleArrivals(Asked, frozen=True, kw_only=True, tag_field="kind", tag="scale_arrivals"):
    """A site, or every site, sends ``factor`` times what is usual."""

    factor: Factor
    site: Short | None = None
    until: Moment | None = None


class Question(Asked, frozen=True, kw_only=True):
    """What is to be forecast; ``until`` defaults to eight hours from now, and no change is the forecast as planned."""

    changes: list[CloseShift | AddReader | SendStudies | ScaleArrivals] = field(default_factory=list)
    until: Moment | None = None
    seed: Annotated[int, Meta(ge=0, le=2**31)] = 1


class Figure(Given, frozen=True, kw_only=True):
    """A mean over nights, the half width of its 95 % interval, and the 80 % range of single nights."""

    mean: float
    half: float | None
    low: float
    high: float


class OfPriority(Figure, frozen=True, kw_only=True):
    """More breaches of a priority."""

    priority: Priority


class SiteName(Given, frozen=True, kw_only=True):
    """A site."""

    id: str
    name: str


class OfSite(Figure, frozen=True, kw_only=True):
    """More breaches at a site."""

    site: SiteName


class OfReader(Given, frozen=True, kw_only=True):
    """More minutes of reading for a reader."""

    radiologist_id: str
    name: str
    minutes: Figure


class Turnaround(Given, frozen=True, kw_only=True):
    """Mean minutes from a study's clock to its report."""

    planned: Figure
    changed: Figure


class Point(Given, frozen=True, kw_only=True):
    """Breaches so far."""

    mean: float
    low: float
    high: float


class Course(Given, frozen=True, kw_only=True):
    """Breaches so far, each half hour."""

    at: list[Instant]
    planned: list[Point]
    changed: list[Point]


class Forecast(Given, frozen=True, kw_only=True):
    """Breaches from now until then, as planned and as changed, lived on the same draws."""

    now: Instant
    until: Instant
    nights: int
    seed: int
    took_s: float
    planned: Figure
    changed: Figure
    difference: Figure
    tat_min: Turnaround
    priorities: list[OfPriority]
    sites: list[OfSite]
    readers: list[OfReader]
    course: Course
    assumes: list[str]
