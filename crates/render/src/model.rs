//! What is shown, whatever it is shown on: header facts and blocks. Built by [`crate::read`], drawn by `html`, `text` and `pdf`.

/// How letters are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Style {
    pub bold: bool,
    pub italic: bool,
    pub underline: bool,
    pub struck: bool,
    pub sub: bool,
    pub sup: bool,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Inline {
    /// Letters; no control character but none either of XML's white space other than single blanks.
    Text(String, Style),
    /// A new line.
    Break,
    /// Where a link of the document leads.
    Anchor(usize),
    /// A link to an anchor of the document.
    Link(usize, Vec<Inline>),
    /// The mark of a footnote (rank in [`Body::notes`]).
    Note(usize),
    /// A picture (rank in [`Body::pictures`]).
    Picture(usize),
}

/// Whether a line has nothing to draw.
pub(crate) fn is_blank(line: &[Inline]) -> bool {
    line.iter().all(|inline| matches!(inline, Inline::Anchor(_)))
}

/// How the items of a list are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    Disc,
    Circle,
    Square,
    Arabic,
    LittleRoman,
    BigRoman,
    LittleAlpha,
    BigAlpha,
}

impl Marks {
    /// The mark of the item of this rank, from 0.
    pub(crate) fn of(self, rank: usize) -> String {
        match self {
            Self::Disc => "•".to_owned(),
            Self::Circle => "◦".to_owned(),
            Self::Square => "▪".to_owned(),
            Self::Arabic => format!("{}.", rank + 1),
            Self::LittleRoman => format!("{}.", roman(rank + 1).to_lowercase()),
            Self::BigRoman => format!("{}.", roman(rank + 1)),
            Self::LittleAlpha => format!("{}.", alpha(rank).to_lowercase()),
            Self::BigAlpha => format!("{}.", alpha(rank)),
        }
    }
}

fn roman(mut n: usize) -> String {
    if n >= 4000 {
        return n.to_string();
    }
    let mut text = String::new();
    for (value, sign) in [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ] {
        while n >= value {
            text.push_str(sign);
            n -= value;
        }
    }
    text
}

fn alpha(mut rank: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'A' + u8::try_from(rank % 26).expect("below 26")));
        if rank < 26 {
            return letters.into_iter().rev().collect();
        }
        rank = rank / 26 - 1;
    }
}

/// Where a cell's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Align {
    #[default]
    Left,
    Center,
    Right,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub heading: bool,
    /// From 1 to [`MAX_COLUMNS`](crate::read::MAX_COLUMNS).
    pub columns: usize,
    /// From 1.
    pub rows: usize,
    pub align: Align,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Table {
    pub caption: Vec<Inline>,
    pub head: Vec<Vec<Cell>>,
    pub body: Vec<Vec<Cell>>,
}

impl Table {
    /// How many columns: the most that any row takes, counting what rows above span into it.
    pub(crate) fn columns(&self) -> usize {
        let group = |rows: &[Vec<Cell>]| place(rows).iter().flatten().map(|p| p.column + p.columns).max().unwrap_or(0);
        group(&self.head).max(group(&self.body))
    }
}

/// Where a cell of a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub column: usize,
    pub columns: usize,
}

/// The place of each cell of rows that belong together, by what the rows above span.
pub(crate) fn place(rows: &[Vec<Cell>]) -> Vec<Vec<Place>> {
    // For each column, for how many rows more it is taken.
    let mut taken = [0usize; crate::read::MAX_COLUMNS];
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        let mut column = 0;
        let mut placed = Vec::with_capacity(row.len());
        let mut begun = [0usize; crate::read::MAX_COLUMNS];
        for cell in row {
            while column < taken.len() && taken[column] > 0 {
                column += 1;
            }
            // Beyond the last column a cell shares it: nothing is lost.
            let at = column.min(taken.len() - 1);
            let columns = cell.columns.min(taken.len() - at);
            begun[at..at + columns].fill(cell.rows);
            placed.push(Place { column: at, columns });
            column = at + columns;
        }
        for (taken, begun) in taken.iter_mut().zip(begun) {
            *taken = (*taken).max(begun).saturating_sub(1);
        }
        places.push(placed);
    }
    places
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    Paragraph(Vec<Inline>),
    List { caption: Vec<Inline>, marks: Marks, items: Vec<Vec<Block>> },
    Table(Table),
}

/// A section of the narrative. Nested ones follow their parent with a higher level.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    pub title: Option<String>,
    /// From 1.
    pub level: u8,
    pub blocks: Vec<Block>,
}

/// An image, by its octets as the document holds them.
#[derive(Clone, PartialEq)]
pub(crate) struct Picture {
    pub jpeg: bool,
    pub width: u32,
    pub height: u32,
    pub bytes: Vec<u8>,
    /// What stands for it where it cannot be seen.
    pub caption: String,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{}, {} octets)", self.width, self.height, self.bytes.len())
    }
}

/// What a document says below its header.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Body {
    pub sections: Vec<Section>,
    pub notes: Vec<Vec<Block>>,
    pub pictures: Vec<Picture>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        let of = |marks: Marks, ranks: &[usize]| ranks.iter().map(|r| marks.of(*r)).collect::<Vec<_>>().join(" ");
        assert_eq!(of(Marks::LittleAlpha, &[0, 25, 26, 51, 52, 701, 702]), "a. z. aa. az. ba. zz. aaa.");
        assert_eq!(of(Marks::LittleRoman, &[0, 3, 8, 48, 1993]), "i. iv. ix. xlix. mcmxciv.");
        assert_eq!(of(Marks::BigRoman, &[4998]), "4999.");
    }

    #[test]
    fn cells_stand_where_the_rows_above_leave_room() {
        let cell = |columns, rows| Cell { heading: false, columns, rows, align: Align::Left, blocks: Vec::new() };
        let rows = [vec![cell(1, 3), cell(2, 1)], vec![cell(1, 2), cell(1, 1)], vec![cell(1, 1)], vec![cell(1, 1)]];
        let columns: Vec<Vec<usize>> = place(&rows).iter().map(|r| r.iter().map(|p| p.column).collect()).collect();
        assert_eq!(columns, [vec![0, 1], vec![1, 2], vec![2], vec![0]]);
        assert_eq!(Table { body: rows.to_vec(), ..Table::default() }.columns(), 3);
        // As wide as anything: still inside.
        let wide = [vec![cell(64, 1), cell(64, 1)]];
        assert!(place(&wide)[0].iter().all(|p| p.column + p.columns <= crate::read::MAX_COLUMNS));
    }
}
