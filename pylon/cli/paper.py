"""A PDF of five pages to ask about, for the demo and the tests: a writer of plain PDF files (PDF 1.4, one font) and an essay."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

TITLE: Final = "The Tide Mill"
COLUMNS: Final = 88
ESSAY: Final = """
1. A pond, a gate and a clock
A tide mill is a simple bargain with the sea. A wall is built across the mouth of a small creek, and in the wall there hangs a gate that
opens only inward. When the tide rises, the water pushes the gate open and fills the creek behind it, which is now called the pond. When
the tide turns, the water wants to leave, presses the gate shut, and is caught. The miller waits until the sea outside has fallen far
enough below the pond, opens the sluice under the wheel, and the captured water runs out over the paddles. The wheel turns, and the
stones above it grind until the pond is empty or the sea comes back.

Nothing in this arrangement is strong. The fall of the water is rarely more than the height of a man. A good river mill has twice as much.
What the tide mill has instead is certainty. A river dries up in August and freezes in January, and the wind does as it likes. The tide
has never failed. It comes twice in every lunar day of twenty-four hours and fifty minutes, and a table printed a year ahead says when.

This essay looks at a mill that could have stood in any of a hundred creeks, and calls it the mill at Sallow Creek. Its pond covers four
hectares. Its wheel gives about nine horsepower for five hours on each tide. From these few numbers follow the habits of the miller, the
wages of his two men, the price of his flour, and in the end the reasons why the mill was closed. The first lesson is short: a weak source
that keeps its appointments is worth more than a strong one that does not. People who bought from the mill at Sallow Creek did not ask how
strong it was. They asked on which day their flour would be ready, and the miller could always tell them.

How such a mill was built follows from the same thought. Since the tide would come in any case, it was never worth while to build for the
highest of it. The wall at Sallow Creek was made one foot too low for the great tides of March and September, and on those days, about six
in a year, the water ran over the top and the pond was filled with silt and weed. To raise the wall would have cost more than all the flour
of those tides. To clear the pond cost two days with a rake. The builders had asked what a usual day would bring, had built for the usual
day, and had left a spillway of flat stones for the others, so that what could not be used did at least no harm.

2. The hours of the miller
Because a lunar day is fifty minutes longer than a day of the sun, the work at Sallow Creek moved through the clock. If the stones began to
turn at six in the morning on a Monday, they began at ten minutes to seven on Tuesday, and by the end of the week at noon. Two weeks later
the same hour had come round again. The miller therefore lived by two clocks, and slept by neither. His household ate when the water
allowed it, and the bed stood on the ground floor, where the sound of the gate falling shut would wake him.

The records of such mills show how people answered this. Nobody tried to move the tide. They moved everything else. Grain was delivered at
any time and stored on the upper floor, enough for nine tides of work. Flour was sacked while the stones were still, so that no hour of
water was spent on sewing. The stones were dressed, that is cut anew with a steel pick, in the neap weeks, when the difference between high
and low water is small and the wheel would have been slow in any case. Repairs to the gate were made at dead low water, for which there
were some forty minutes.

The second lesson is about this storage. A source that comes and goes can be used without waste by a process that may wait. Grain does not
mind. A bakery would have minded very much, and so the bakery stood in the town, with an oven that burned wood, and bought its flour in
advance. Between the sea, which could not wait at all, and the town, which did not wish to, there stood an attic full of sacks. It was the
cheapest part of the whole mill, a floor of plain boards, and it was the part that made the rest possible. When the attic was doubled in
size, the mill sold one fifth more flour in a year, although neither the wheel nor the pond had changed.

It is worth seeing what the attic did not do. It did not make the wheel stronger, and it did not make a single tide longer. A bushel that
was brought on Monday was not ground earlier because there was room for it. On the contrary, on the average it lay longer than before. What
had changed was that no tide found the stones without work, and that no farmer was sent home with a full cart. The waiting was moved from
the people to the sacks, which had time. Every trade that works for strangers has such an attic somewhere, and in most of them nobody has
ever measured how large it ought to be. At Sallow Creek it was measured by accident, when the roof was mended and nobody filled it up again.

3. What was paid for
The miller at Sallow Creek did not sell flour at first. He sold grinding. A farmer brought his own grain and took home his own flour, and
the miller kept one sixteenth of it, a share called the toll. The toll was taken before the grinding, in a wooden bowl, in front of the
farmer. This was the custom everywhere, and it was a good one. Had it been taken afterwards, the farmer might have driven off without
paying. Since it was taken before, the miller might have ground badly. The bowl was therefore only half of the custom. The other half was
that a farmer could lift the lid at any moment and feel the flour between his fingers, and if it was warm or gritty he could demand his
toll again and carry the rest of his grain to another mill.

So both sides ran a small risk, and both could see the other's hands. Quarrels were rare, and those that came to the court of the manor
were nearly always about measure, hardly ever about quality: a bowl with a false bottom, a sack that was weighed wet. The court kept a
bowl of its own, made of brass, against which every other could be tried. It cost two shillings and was used perhaps three times in ten
years. Its use was not in being used. Everybody knew that it was there.

The third lesson is that trust was not a feeling at Sallow Creek. It was an arrangement of small steps, each of which could be checked by
the one who had something to lose, at the time when he could still walk away. Strangers used the mill as readily as neighbours. They had
never met the miller, but they had met the custom, and the brass bowl did the rest. Where a neighbouring mill took the toll behind a
closed door, even its own cousins went elsewhere, although its flour was finer and its toll was only one twentieth.

There was one more custom, and it concerned the days on which the mill failed. When the gate jammed or a stone cracked while a farmer's
grain was between the stones, the toll had been paid and the flour was not there. The miller then cut a notch into a hazel stick, split the
stick along its length, and gave one half away. The notch meant that he owed a grinding. It did not matter how long it took. The halves of
a split stick fit each other and no other, so that nobody could cut a notch of his own, and a son could bring the stick of his father. In
the wall beside the door there was a row of nails for the miller's halves, where everybody who came in could count them.

4. Many mills, one harvest
In the last week of September all the farms of the district had grain to grind, and all of them wanted it at once. No single mill could
have done it. The mill at Sallow Creek ground about eleven sacks on a tide, and a large farm alone brought two hundred. The answer of the
district was a boy on a pony. He rode from creek to creek, along a coast of seven mills, and asked each miller how many sacks stood in
his attic and on which tide he could take more. Then he rode back, and the carts were sent where there was room.

The boy did not know anything about milling. He carried numbers. But with him the seven mills worked as one large one, and the harvest
that would have kept a single mill busy until Christmas was ground in sixteen days. It was found that three rules mattered. First, no cart
was sent to a mill that had not answered, however near it stood. Secondly, when a mill broke down, the grain that lay there already was
not fetched back: new carts were sent elsewhere, and only what had not been touched on the third day was moved. Thirdly, a farmer marked
his own sacks, with a number and the count of all, such as seven of twenty, so that a missing one was noticed at the end and not in March.

The count was not always complete. In one year the ledger of a large farm shows nineteen sacks returned of twenty, and beside it the
remark: one lost at the mill by the church, toll given back. The farmer baked his bread from nineteen sacks and knew what was missing. The
fourth lesson follows from that remark. When work is spread over many hands, some of it will fail, and the aim cannot be that nothing is
ever lost. The aim is that what is lost is small, is known by its number, is paid for by nobody, and does not hold up the rest.

One mistake of the first year is worth telling, since it is made again wherever work is shared out. The boy was told to ask each mill only
once, in the morning, and to send all carts by these answers. At noon the attic that had been empty was full, because he had sent everybody
there, and nine carts stood in the lane before it while two other mills had their stones lifted for want of grain. From then on he gave a
mill no more carts at a time than it could unload in an hour, and asked again before he sent the next. It was slower for the boy and faster
for the harvest. The pony, it is said, was the only one in the district who lost by it.

5. Why it stopped, and what remains
The mill at Sallow Creek closed in the year in which a steam mill was opened at the railway, eight miles inland. The steam mill was not
cheaper. For a long time its flour cost a little more, since coal had to be bought and water had not. But it ground at any hour, it ground
forty sacks while the tide mill ground eleven, and it stood where the grain arrived. The town had grown. What it needed was no longer a
weak source that kept its appointments, but a strong one that could be called at any time. Certainty had been the whole advantage of the
tide, and coal could now be had with the same certainty, and more of it.

It would be wrong to read this as the defeat of an old idea by a new one. The tide mill had served for six hundred years, and it fell when
two of its conditions fell: that carrying was expensive, so that work was done near the grain, and that strong power was rare. Where both
held for longer, on islands and in the far creeks, the mills went on for another sixty years. Some have been repaired since. One of them
lights a village on four nights out of five with a small turbine in the old wheel pit, and on the fifth night the village draws on a bank
of batteries, which are nothing else than the attic with its sacks, built of another material.

Five things can be carried away from the pond. A source that keeps its appointments is worth more than a strong one that does not. A store
of unfinished work, which is cheap, turns power that comes and goes into work that can be promised. Trust between strangers is made of
small steps that can be checked in time. Work that is spread over many must expect to lose a little of it, and must know which. And every
arrangement stands on conditions that nobody in it has made, so that it is wise to write them down while they still hold, and to look at
the list from time to time. The miller's last entry in his book is of that kind. It says only: tide good, no carts.
"""


def write_pdf(path: Path, pages: Sequence[Sequence[str]]) -> None:
    """Write a PDF whose pages show these lines (ASCII; about 50 of about 90 characters fit) in Helvetica."""
    path.write_bytes(pdf(pages))


def write_paper(path: Path) -> None:
    """Write the essay as a PDF: five pages, each with the title, the heading of a section and its paragraphs."""
    write_pdf(path, essay())


def essay() -> list[list[str]]:
    """The lines of the essay's pages."""
    pages: list[list[str]] = []
    for paragraph in ESSAY.strip().split("\n\n"):
        first, _, rest = paragraph.partition("\n")
        if first[:1].isdigit():
            pages.append([TITLE, "", first, ""])
            paragraph = rest
        pages[-1] += [*textwrap.wrap(" ".join(paragraph.split()), COLUMNS), ""]
    return pages


def pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """The bytes of such a file (ISO 32000-1, 7.5): header, objects, cross-reference table, trailer."""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", font]
    kids = []
    for lines in pages:
        stream = b"BT /F1 11 Tf 14 TL 60 780 Td\n" + b"".join(b"(" + escaped(line) + b") Tj T*\n" for line in lines) + b"ET"
        kids.append(b"%d 0 R" % (len(objects) + 1))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>"
            % (len(objects) + 2)
        )
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
    objects[1] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(kids), len(kids))
    return assemble(objects)


def escaped(line: str) -> bytes:
    """A line as the inside of a literal string (7.3.4.2)."""
    return line.encode("ascii").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def assemble(objects: Sequence[bytes], extra: bytes = b"") -> bytes:
    """A file of these objects, numbered from 1, the first of which is the catalog; `extra` stands in the trailer."""
    file = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % place for place in places)
    file += b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, extra, start)
    return bytes(file)
