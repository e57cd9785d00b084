package messengertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// render makes the body of a post. For pages: an entry for each item or, grouped, for each run of items of a page and array.
func render(batch []queued, how Behaviour) []byte {
	if batch[0].whole != nil {
		return batch[0].whole
	}
	var b bytes.Buffer
	b.WriteString(`{"object":"page","entry":[`)
	for i, q := range batch {
		opens := i == 0 || !how.Grouped || batch[i-1].page != q.page || batch[i-1].array != q.array
		switch {
		case !opens:
			b.WriteByte(',')
		case i > 0:
			b.WriteString(`]},`)
		}
		if opens {
			fmt.Fprintf(&b, `{"id":%s,"time":%d,%q:[`, id(q.page.ID, how), q.at.UnixMilli(), q.array)
		}
		q.render(&b, how)
	}
	b.WriteString(`]}]}`)
	return facebookJSON(b.Bytes())
}

func (q queued) render(b *bytes.Buffer, how Behaviour) {
	if q.raw != nil {
		b.Write(q.raw)
		return
	}
	fmt.Fprintf(b, `{"sender":{"id":%s},"recipient":{"id":%s},"timestamp":%d,%q:%s}`,
		id(q.from, how), id(q.to, how), stamp(q.at, how), q.kind, q.content)
}

func id(s string, how Behaviour) string {
	if _, err := strconv.ParseUint(s, 10, 64); how.NumericIDs && err == nil {
		return s
	}
	return strconv.Quote(s)
}

func stamp(at time.Time, how Behaviour) int64 {
	if how.Seconds {
		return at.Unix()
	}
	return at.UnixMilli()
}

// plainJSON is JSON without the escapes that Go adds for HTML.
func plainJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("messengertest: " + err.Error()) // a test put something into a message that is not JSON
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// facebookJSON escapes as Facebook does: slashes, and everything beyond ASCII in lower-case \u.
func facebookJSON(plain []byte) []byte {
	out := make([]byte, 0, len(plain)+len(plain)/8)
	for i := 0; i < len(plain); {
		switch c := plain[i]; {
		case c == '\\' && i+1 < len(plain): // escaped already
			out = append(out, c, plain[i+1])
			i += 2
		case c == '/':
			out = append(out, '\\', '/')
			i++
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, size := utf8.DecodeRune(plain[i:])
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
			i += size
		}
	}
	return out
}
