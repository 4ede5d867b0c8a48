"""Rows of parquet and Arrow files, read by bytes: the number of rows in memory follows from their size.

Nulls are dropped: in a table a missing key and a null are the same.
"""

from collections.abc import Iterator
from typing import Any

from osft_download.readers.cell_sizes import row_sizes
from osft_download.readers.cells import check_names, check_width
from osft_download.readers.packed import Allowance, open_file
from osft_download.readers.pages import columns_of, largest_page
from osft_download.readers.row import LONGEST_ROW, Row
from osft_download.rules import RejectedRow
from osft_download.sources import DataFile
from osft_workspace import UserError, printable

MOST_ROWS = 256
MOST_BYTES = 4 << 20  # of the rows that are held at a time; text takes up to four times that in Python
LARGEST_PAGE = 64 << 20  # bytes, unpacked; a page is held as a whole
LONGEST_FOOTER = 8 << 20  # bytes of a parquet file's description of itself
BUFFER = 1 << 20
UNREADABLE = (ValueError, OverflowError, TypeError, KeyError, NotImplementedError, ImportError)
"""What pyarrow raises for single values: dates beyond the year 9999, unknown time zones."""


class OutOfRange:
    """A value that has no place in Python; a row is rejected for it only where its column is read."""


def read_parquet(source: DataFile) -> Iterator[Row]:
    """Yield the rows of a parquet file.

    Raises:
        UserError: it is cut off or damaged, or has two columns of one name.
    """
    import pyarrow
    import pyarrow.parquet

    name, number = printable(source.name), 0
    check_footer(source)
    allowance = Allowance(source.path)
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # it returns freed memory, and errs where none is
    try:
        with pyarrow.parquet.ParquetFile(source.path, pre_buffer=False, buffer_size=BUFFER) as table:
            check_names(source, table.schema_arrow.names)
            for group in range(table.num_row_groups):
                # No value is larger than the page or the dictionary that it comes from.
                rows = rows_at_once(1, page_size(source, table.metadata.row_group(group)))
                for batch in table.iter_batches(rows, row_groups=[group], use_threads=False):
                    for row in rows_of(batch, allowance):
                        number += 1
                        yield number, None, row
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged(name, "parquet", error) from error


def check_footer(source: DataFile) -> None:
    """Check what a parquet file says of itself before all of it is read. Raises UserError."""
    name = printable(source.name)
    with open_file(source.path) as file:
        file.seek(max(file.seek(0, 2) - 8, 0))
        size = int.from_bytes(file.read(4), "little")
        if size > LONGEST_FOOTER:
            raise UserError(
                f"{name} is not a complete parquet file, or it has too many row groups: its footer would "
                f"have {size:,} bytes, expected at most {LONGEST_FOOTER:,}. Download it again, or write it "
                "again with larger row groups or as several files."
            )
        check_width(source, columns_of(file, size))


def page_size(source: DataFile, group: Any) -> int:
    """Return the bytes of the largest page of a row group, which must fit into memory.

    Raises:
        UserError: one does not, or what should be a page is not one.
    """
    name = printable(source.name)
    try:
        with open_file(source.path) as file:
            size = largest_page(file, group)
    except ValueError as error:
        raise UserError(
            f"{name} is not a complete parquet file: {error}. Download or write it again."
        ) from error
    if size > LARGEST_PAGE:
        raise UserError(
            f"{name} has a page of {size >> 20} MiB, expected at most {LARGEST_PAGE >> 20} MiB: a page is "
            "read as a whole. Write the file again with smaller row groups (row_group_size in pyarrow)."
        )
    return size


def read_arrow(source: DataFile, *, stream: bool) -> Iterator[Row]:
    """Yield the rows of an Arrow file, as `save_to_disk` of the datasets library writes them (a stream).

    A batch is as large as its writer made it.

    Raises:
        UserError: it is cut off or damaged, or has two columns of one name.
    """
    import pyarrow
    import pyarrow.ipc

    name, number = printable(source.name), 0
    allowance = Allowance(source.path)
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    try:
        with pyarrow.OSFile(str(source.path)) as file:
            opened = pyarrow.ipc.open_stream(file) if stream else pyarrow.ipc.open_file(file)
            check_names(source, opened.schema.names)
            batches = opened if stream else map(opened.get_batch, range(opened.num_record_batches))
            for batch in batches:
                batch.validate(full=True)  # its own description of itself may be wrong
                for begin in range(0, batch.num_rows, MOST_ROWS):
                    for row in rows_of(batch.slice(begin, MOST_ROWS), allowance):
                        number += 1
                        yield number, None, row
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged(name, "Arrow", error) from error


def damaged(name: str, what: str, error: Exception) -> Exception:
    """Return the sentence for a file that is not whole, or the error itself where disk or memory is why."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
        return error
    why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return UserError(f"{name} is not a complete {what} file: {why}. Download or write it again.")


def rows_at_once(rows: int, size: int) -> int:
    """Return how many of `rows` rows of `size` bytes to hold; with `rows` 1, each may be that large."""
    return max(1, min(MOST_ROWS, MOST_BYTES * rows // max(size, 1)))


def rows_of(batch: Any, allowance: Allowance) -> Iterator[dict[str, Any] | RejectedRow]:
    """Yield the rows of a batch, as many at a time as can be held, and the rejection of a larger one."""
    sizes = row_sizes(batch)
    begin = held = 0
    for end, size in enumerate(sizes.tolist()):
        allowance.take(size)
        if held + size > MOST_BYTES:
            yield from values_of_rows(batch.slice(begin, end - begin))
            begin, held = end, 0
        held += size
        if size > LONGEST_ROW:
            yield RejectedRow("too-long", f"the row has {size:,} bytes, expected at most {LONGEST_ROW:,}")
            begin, held = end + 1, 0
    yield from values_of_rows(batch.slice(begin))


def values_of_rows(batch: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch."""
    names = batch.schema.names
    columns = [values_of(batch.column(number)) for number in range(len(names))]
    for number in range(batch.num_rows):
        yield {
            name: without_nulls(column[number])
            for name, column in zip(names, columns, strict=True)
            if column[number] is not None
        }


def values_of(column: Any) -> list[Any]:
    """Return a column's values; those that Python cannot hold are `OutOfRange`."""
    try:
        return list(column.to_pylist())
    except UNREADABLE:
        return [value_of(scalar) for scalar in column]


def value_of(scalar: Any) -> Any:
    """Return one value of a column."""
    try:
        return scalar.as_py()
    except UNREADABLE:
        return OutOfRange()


def without_nulls(value: Any) -> Any:
    """Return a value without the keys whose value is null, at every depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return (
            [without_nulls(item) for item in value] if value and isinstance(value[0], dict | list) else value
        )
    return value
