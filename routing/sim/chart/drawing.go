package chart

import (
	"bufio"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// strokes is how many curves of a panel differ; style has as many.
const strokes = 4

// style gives every class its look in light and in dark. Everything in it is below
// one class, so that a picture inside of a page leaves the page alone.
const style = `<style>
.kdht-chart{font:12px ui-sans-serif,Helvetica,Arial,sans-serif}
.kdht-chart text{fill:#1b2733}
.kdht-chart .head{font-size:19px;font-weight:bold}
.kdht-chart .name{font-size:14px;font-weight:bold}
.kdht-chart .quiet{fill:#51606e}
.kdht-chart .ground{fill:#ffffff}
.kdht-chart .grid{stroke:#dfe5eb}
.kdht-chart .axis{stroke:#4a5b6c;fill:none}
.kdht-chart .line{fill:none;stroke-width:2;stroke-linejoin:round}
.kdht-chart .s0{stroke:#0b62b0}
.kdht-chart .s1{stroke:#c4500a;stroke-dasharray:7 3}
.kdht-chart .s2{stroke:#00795a;stroke-dasharray:2 2}
.kdht-chart .s3{stroke:#9a3c86;stroke-dasharray:9 3 2 3}
.kdht-chart .sr{stroke:#75828f;stroke-dasharray:2 3}
.kdht-chart .f0{fill:#0b62b0}
.kdht-chart .f1{fill:#c4500a}
.kdht-chart .f2{fill:#00795a}
.kdht-chart .f3{fill:#9a3c86}
.kdht-chart .fr{fill:#75828f}
@media (prefers-color-scheme:dark){
.kdht-chart text{fill:#e3e9ef}
.kdht-chart .quiet{fill:#9fadba}
.kdht-chart .ground{fill:#10161c}
.kdht-chart .grid{stroke:#2a343e}
.kdht-chart .axis{stroke:#8796a5}
.kdht-chart .s0{stroke:#5fb0f5}
.kdht-chart .s1{stroke:#f59b4c}
.kdht-chart .s2{stroke:#3fcf9f}
.kdht-chart .s3{stroke:#e08fce}
.kdht-chart .sr{stroke:#84919e}
.kdht-chart .f0{fill:#5fb0f5}
.kdht-chart .f1{fill:#f59b4c}
.kdht-chart .f2{fill:#3fcf9f}
.kdht-chart .f3{fill:#e08fce}
.kdht-chart .fr{fill:#84919e}
}
</style>`

// drawing writes a document; the writer keeps the first error until it is flushed.
type drawing struct{ w *bufio.Writer }

// line writes one line of markup. Texts among args are escaped by the caller.
func (d *drawing) line(format string, args ...any) {
	fmt.Fprintf(d.w, format, args...)
	d.w.WriteByte('\n')
}

// text writes words at a place; attributes are markup.
func (d *drawing) text(x, y float64, attributes, words string) {
	if words != "" {
		d.line(`<text x="%s" y="%s" %s>%s</text>`, px(x), px(y), attributes, escaped(words))
	}
}

// px writes a coordinate to a tenth of a pixel.
func px(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10+0, 'f', -1, 64) // + 0: no negative zero
}

// escaped returns s as it may stand in text and in attributes: what XML cannot hold
// at all is replaced.
func escaped(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' && c != '\n' || c == 0xFFFE || c == 0xFFFF {
			return '\uFFFD'
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(s)
}
