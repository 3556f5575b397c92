"""Import and export in the admin: what the pages of all models have in common.

An import goes through one request and one transaction: nothing of the file is kept in between, and
a bad line undoes all the others. Cells are written and read as ``common.csv_output`` does.
"""

from __future__ import annotations

import csv
import io
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.encoding import force_str
from import_export import resources, widgets
from import_export.admin import ImportExportMixin
from import_export.formats.base_formats import CSV
from tablib import Dataset
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from common.csv_output import csv_lines, csv_text
from common.texts import parsed_id
from credentials.models import Tag

MAX_ROWS = 10_000
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class PlainCsv(CSV):
    """CSV in UTF-8 in which no cell is a formula."""

    def export_data(self, dataset: Dataset, **options: Any) -> str:
        """The text of the file."""
        return "".join(csv_lines(dataset.headers, dataset))

    def create_dataset(self, in_stream: bytes) -> Dataset:
        """The cells of the file as texts. Raises ValueError, in words for people."""
        try:
            text = in_stream.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError("The file is no text in UTF-8.") from None
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        dataset = Dataset()
        try:
            dataset.headers = [name.strip().lower() for name in next(rows, [])]
            for row in rows:
                if row:
                    dataset.append(_cells(row, len(dataset.headers), rows.line_num))
        except csv.Error as error:
            raise ValueError(f"Line {rows.line_num} is no CSV: {error}.") from None
        if not len(dataset):
            raise ValueError("The file has no rows; its first line names the columns.")
        if len(dataset) > MAX_ROWS:
            raise ValueError(f"{len(dataset)} rows are too many at once; {MAX_ROWS} are taken.")
        return dataset


def _cells(row: list[str], count: int, line: int) -> list[str]:
    if len(row) != count:
        raise ValueError(f"Line {line} has {len(row)} values for {count} columns.")
    if any("\x00" in cell for cell in row):
        raise ValueError(f"Line {line} has a NUL character.")
    return [csv_text(cell.strip()) for cell in row]


class WholeNumber(widgets.Widget):
    """A number from 0 on; an empty cell is none."""

    def clean(self, value: Any, row: Any = None, **options: Any) -> int | None:
        """The number. Raises ValueError."""
        if value == "":
            return None
        number = parsed_id(value)
        if number is None:
            raise ValueError(f"'{value}' is no whole number.")
        return number

    def render(self, value: Any, obj: Any = None, **options: Any) -> str:
        return "" if value is None else str(value)


class YesOrNo(widgets.Widget):
    """``true`` or ``false``, and what else people write for them."""

    def clean(self, value: Any, row: Any = None, **options: Any) -> bool:
        """Which of them it is. Raises ValueError."""
        text = value.lower()
        if text not in _TRUE | _FALSE:
            raise ValueError(f"'{value}' is neither true nor false.")
        return text in _TRUE

    def render(self, value: Any, obj: Any = None, **options: Any) -> str:
        return str(bool(value)).lower()


class TagNames(widgets.ManyToManyWidget):
    """Names of tags that there are, split by ``;``."""

    def __init__(self) -> None:
        super().__init__(Tag, separator=";", field="name")

    def clean(self, value: Any, row: Any = None, **options: Any) -> list[Tag]:
        """The tags. Raises ValueError for a name that no tag has."""
        names = dict.fromkeys(name.strip() for name in value.split(";"))
        names.pop("", None)
        found = {tag.name: tag for tag in Tag.objects.filter(name__in=names)}
        for name in names:
            if name not in found:
                raise ValueError(f"There is no tag '{name}'; make it first.")
        return list(found.values())


class CheckedResource(resources.ModelResource):
    """Rows by name: those that there are change, the others are made.

    A row is checked as the form of the model checks it. Columns that the file has not stay as they
    are.
    """

    class Meta:
        import_id_fields = ("name",)
        clean_model_instances = True
        use_transactions = True
        skip_unchanged = True
        skip_html_diff = True

    def before_import(self, dataset: Dataset, **options: Any) -> None:
        """Refuse columns that there are not. Raises ValueError."""
        self._seen: dict[str, int] = {}
        known = [field.column_name for field in self.fields.values()]
        for name in dataset.headers:
            if name not in known:
                raise ValueError(f"There is no column '{name}'; they are {', '.join(known)}.")
            if dataset.headers.count(name) > 1:
                raise ValueError(f"The column '{name}' stands twice.")
        if "name" not in dataset.headers:
            raise ValueError("The column 'name' is missing.")

    def before_import_row(self, row: Any, **options: Any) -> None:
        """Refuse a name that stands in another row. Raises ValidationError."""
        name = row["name"].lower()
        first = self._seen.setdefault(name, options["row_number"])
        if first != options["row_number"]:
            raise ValidationError({"name": f"'{row['name']}' stands in row {first} already."})


class TransferAdmin(ImportExportMixin):
    """Buttons for both above the list of a model. Goes before the class of the look."""

    formats: ClassVar = [PlainCsv]
    import_form_class = ImportForm
    export_form_class = ExportForm
    #: There is no second step, before which the file would have to be kept somewhere.
    skip_import_confirm = True
    #: There is one format, and nothing to choose.
    skip_export_form = True
    #: The audit log has each row already.
    skip_admin_log = True

    def has_import_permission(self, request: HttpRequest) -> bool:
        """For those who may both add rows and change them."""
        return bool(self.has_add_permission(request) and self.has_change_permission(request))

    def has_export_permission(self, request: HttpRequest) -> bool:
        """For those who may look at the rows; the list decides which of them."""
        return bool(self.has_view_permission(request))

    def get_urls(self) -> list[Any]:
        """Without the second step, which would read a file of this host by its name."""
        name = f"{self.get_model_info()[0]}_{self.get_model_info()[1]}_process_import"
        return [url for url in super().get_urls() if url.name != name]

    def add_data_read_fail_error_to_form(self, form: Any, e: Exception) -> None:
        """What is wrong with the file as a whole."""
        form.add_error("import_file", force_str(e) if isinstance(e, ValueError) else "No CSV.")

    def get_import_resource_kwargs(self, request: HttpRequest, **options: Any) -> dict[str, Any]:
        return {"user": request.user}

    def get_export_resource_kwargs(self, request: HttpRequest, **options: Any) -> dict[str, Any]:
        return {"user": request.user}
