//! Contact sheets: many pictures on one, with labels.

use super::text::Lettering;
use super::{Area, Color, Layout, MediaError, Picture, Size, canvas};

/// One place of a sheet.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What stands under it.
    pub label: String,
    /// What is in it.
    pub content: CellContent,
    /// Its row and column from 0, or the next free place.
    pub place: Option<(u32, u32)>,
}

/// What is in a cell.
#[derive(Debug, Clone)]
pub enum CellContent {
    /// A picture no larger than the cell; see [`Sheet::fitted`].
    Picture(Picture),
    /// There is no picture, for the reason that this says.
    Missing(String),
}

/// How a sheet is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sheet {
    /// How many cells side by side.
    pub columns: u32,
    /// How many below each other.
    pub rows: u32,
    /// Pixels of the side that a picture is fitted into.
    pub cell: u32,
    /// Pixels down that a cell takes: less than `cell` when all pictures are wide.
    pub cell_height: u32,
    /// The sheet's colour.
    pub background: Color,
}

impl Sheet {
    /// A sheet for `count` cells in `columns`, or about as wide as high when that is not said.
    ///
    /// # Errors
    /// When there is nothing to put on it, or it would have too many pixels.
    pub fn for_count(count: usize, columns: Option<u32>, cell: u32, background: Color) -> Result<Sheet, MediaError> {
        if count == 0 {
            return Err(MediaError::EmptySheet);
        }
        let square = (count as f64).sqrt().ceil() as u32;
        let columns = columns.unwrap_or(square).clamp(1, u32::try_from(count).unwrap_or(u32::MAX));
        let rows = u32::try_from(count.div_ceil(columns as usize)).unwrap_or(u32::MAX);
        Sheet { columns, rows, cell, cell_height: cell, background }.checked()
    }

    /// A sheet of exactly this many rows and columns.
    ///
    /// # Errors
    /// When it would have too many pixels.
    pub fn grid(rows: u32, columns: u32, cell: u32, background: Color) -> Result<Sheet, MediaError> {
        Sheet { columns, rows, cell, cell_height: cell, background }.checked()
    }

    /// The same sheet with cells as high as the highest of these, so that labels stand right under wide pictures.
    pub fn trimmed(self, cells: &[Cell]) -> Sheet {
        let heights = cells.iter().filter_map(|cell| match &cell.content {
            CellContent::Picture(picture) => Some(picture.height()),
            CellContent::Missing(_) => None,
        });
        let highest = heights.max().unwrap_or(self.cell_height);
        Sheet { cell_height: highest.clamp(self.letter_height().min(self.cell), self.cell), ..self }
    }

    fn checked(self) -> Result<Sheet, MediaError> {
        self.size().check_output()?;
        Ok(self)
    }

    /// Its size in pixels.
    pub fn size(&self) -> Size {
        let side = |count: u32, each: u32| count.saturating_mul(each + self.gap()).saturating_add(self.gap());
        Size { width: side(self.columns, self.cell), height: side(self.rows, self.cell_height + self.label_height()) }
    }

    /// The size that a picture has in a cell.
    pub fn fitted(&self, picture: Size) -> Result<Size, MediaError> {
        super::Resizing::plan(picture, Some(self.cell), Some(self.cell), super::Fit::Inside, true)
            .map(|plan| plan.output)
    }

    /// Where the picture of a place goes; its label goes right under it.
    pub fn area(&self, row: u32, column: u32) -> Area {
        let gap = self.gap();
        Area {
            x: gap + column * (self.cell + gap),
            y: gap + row * (self.cell_height + self.label_height() + gap),
            width: self.cell,
            height: self.cell_height,
        }
    }

    /// Where the label of a place goes.
    pub fn label_area(&self, row: u32, column: u32) -> Area {
        let area = self.area(row, column);
        Area { y: area.y + area.height, height: self.label_height(), ..area }
    }

    fn gap(&self) -> u32 {
        (self.cell / 20).clamp(4, 32)
    }

    fn letter_height(&self) -> u32 {
        (self.cell / 14).clamp(12, 40)
    }

    fn label_height(&self) -> u32 {
        self.letter_height() * 3 / 2
    }
}

/// Draws the sheet. A cell without a place takes the next one in reading order; those beyond the sheet are left out.
///
/// # Errors
/// When it would have too many pixels.
pub fn contact_sheet(sheet: &Sheet, cells: &[Cell]) -> Result<Picture, MediaError> {
    let background = Picture::filled(sheet.size(), Color { a: 255, ..sheet.background })?;
    let mut result = background.to_layout(Layout::Rgb);
    drop(background);
    let ink = if sheet.background.luma() < 128 { Color::WHITE } else { Color { r: 34, g: 34, b: 34, a: 255 } };
    let lettering = Lettering::new(sheet.letter_height() as f32)?;

    for (index, cell) in (0u32..).zip(cells) {
        let (row, column) = cell.place.unwrap_or((index / sheet.columns, index % sheet.columns));
        if row >= sheet.rows || column >= sheet.columns {
            continue;
        }
        let area = sheet.area(row, column);
        let middle = area.x + area.width / 2;
        match &cell.content {
            CellContent::Picture(picture) if picture.width() <= area.width && picture.height() <= area.height => {
                let flat = picture.flattened(sheet.background).to_layout(Layout::Rgb);
                let corner = (area.x + (area.width - flat.width()) / 2, area.y + (area.height - flat.height()) / 2);
                canvas::paste(&mut result, &flat, corner);
            }
            CellContent::Picture(picture) => {
                return Err(MediaError::Internal { what: format!("{} in a cell of {}", picture.size(), sheet.cell) });
            }
            CellContent::Missing(reason) => {
                canvas::fill(&mut result, area, mixed(sheet.background, ink, 0.1));
                let top = area.y + (area.height - sheet.letter_height()) / 2;
                lettering.write(&mut result, reason, middle, top, area.width * 9 / 10, ink);
            }
        }
        let label = sheet.label_area(row, column);
        let top = label.y + (label.height - sheet.letter_height()) / 2;
        lettering.write(&mut result, &cell.label, middle, top, area.width, ink);
    }
    Ok(result)
}

fn mixed(from: Color, to: Color, part: f32) -> Color {
    let mix = |from: u8, to: u8| (f32::from(from) + (f32::from(to) - f32::from(from)) * part).round() as u8;
    Color { r: mix(from.r, to.r), g: mix(from.g, to.g), b: mix(from.b, to.b), a: 255 }
}
