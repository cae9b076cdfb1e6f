package document_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cocaine/cocaine-go/internal/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tomlText = `name = "hello"
run = [
  "./hello",
  5,
]
pool.max = 3
[limits]
memory = "1G"   # comment
'quoted key' = { a = 1, "b.c" = [true] }

[[route]]
host = "a"
[[route]]
host = "b"
[route.tls]
on = true
`

func TestTOMLPositions(t *testing.T) {
	d, err := document.ParseTOML("app.toml", []byte(tomlText))
	if err != nil {
		t.Fatal(err)
	}
	root := d.Root()
	limits := root.Table("limits")
	quoted := limits.Table("quoted key")
	for _, c := range []struct {
		table     *document.Table
		key, want string
	}{
		{root, "name", "app.toml:1:8: name: bad\n\t1 | name = \"hello\""},
		{root, "run", "app.toml:2:7: run: bad\n\t2 | run = ["},
		{root.Table("pool"), "max", "app.toml:6:12: pool.max: bad\n\t6 | pool.max = 3"},
		{root, "limits", "app.toml:7:2: limits: bad\n\t7 | [limits]"},
		{limits, "", "app.toml:7:2: limits: bad\n\t7 | [limits]"},
		{limits, "memory", "app.toml:8:10: limits.memory: bad\n\t8 | memory = \"1G\"   # comment"},
		{quoted, "a", `app.toml:9:22: limits."quoted key".a: bad` + "\n\t9 | 'quoted key' = { a = 1, \"b.c\" = [true] }"},
		{quoted, "b.c", `app.toml:9:33: limits."quoted key"."b.c": bad` + "\n\t9 | 'quoted key' = { a = 1, \"b.c\" = [true] }"},
		{limits, "missing", "app.toml:7:2: limits.missing: bad\n\t7 | [limits]"},
		{root, "missing", "app.toml: missing: bad"},
	} {
		before := len(problems(d))
		c.table.Problem(c.key, "bad")
		if got := problems(d)[before]; got.Error() != c.want {
			t.Errorf("problem at %q reads\n%s\nwant\n%s", c.key, got, c.want)
		}
	}
}

func problems(d *document.Document) []error {
	joined, ok := d.Err().(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	return joined.Unwrap()
}

func TestJSONPositions(t *testing.T) {
	d, err := document.ParseJSON("m.json", []byte("\uFEFF{\n  \"slave\" : 5,\n  \"environment\": {\"ключ\": \"v\", \"n\": null}\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"slave": int64(5), "environment": map[string]any{"ключ": "v", "n": nil}}
	if !reflect.DeepEqual(d.Root().Values(), want) {
		t.Fatalf("values are %v", d.Root().Values())
	}
	env := d.Root().Table("environment")
	if got := d.Root().Position("slave"); got != (document.Position{Line: 2, Column: 13}) {
		t.Errorf("slave stands at %v", got)
	}
	if got := env.Position("n"); got != (document.Position{Line: 3, Column: 37}) {
		t.Errorf("n stands at %v: columns must count characters", got)
	}
}

func TestJSONNumbers(t *testing.T) {
	d, err := document.ParseJSON("n.json", []byte(`{"i": -5, "u": 18446744073709551615, "f": 1.5, "whole": 2.0, "list": [[1], {}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"i": int64(-5), "u": uint64(math.MaxUint64), "f": 1.5, "whole": 2.0,
		"list": []any{[]any{int64(1)}, map[string]any{}},
	}
	if got := d.Root().Values(); !reflect.DeepEqual(got, want) {
		t.Errorf("have %#v", got)
	}
}

func TestSyntaxErrors(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for _, c := range []struct {
		parse      func(string, []byte) (*document.Document, error)
		name       string
		text, want string
	}{
		{document.ParseTOML, "toml without value", "a = 1\nb =\n", "f:2:4: "},
		{document.ParseTOML, "toml twice", "a = 1\na = 2\n", "f:2:1: "},
		{document.ParseTOML, "toml table twice", "[a]\nb=1\n[a]\n", "f:3:"},
		{document.ParseTOML, "toml column in characters", "a = 'żółć' x\n", "f:1:12: "},
		{document.ParseTOML, "toml not utf-8", "a = '\xff'\n", "f:1:"},
		{document.ParseTOML, "toml too large", strings.Repeat("#", document.MaxSize+1), "f: must be at most 1M, have 1048577"},
		{document.ParseJSON, "json comma", "{\n  \"a\": 1,\n}", "f:3:1: invalid character '}'"},
		{document.ParseJSON, "json two commas", `{"a":1,,}`, "f:1:8: invalid character ','"},
		{document.ParseJSON, "json inside a value", "{\"a\": [1,\n  2, tru!]}", "f:2:9: invalid character '!'"},
		{document.ParseJSON, "json cut", "{\"a\": \n", "f:1:6: unexpected end of JSON input"},
		{document.ParseJSON, "json empty", "", "f:1:1: unexpected end of JSON input"},
		{document.ParseJSON, "json tail", "{} x", "f:1:4: invalid character 'x' after top-level value"},
		{document.ParseJSON, "json list", "\n []", "f:2:2: must be an object, have a list"},
		{document.ParseJSON, "json null", "null", "f:1:1: must be an object, have null"},
		{document.ParseJSON, "json twice", "{\"a\": 1,\n \"a\": 2}", "f:2:2: a: given twice"},
		{document.ParseJSON, "json utf-8", "{\"a\": \"\xff\"}", "f:1:8: invalid UTF-8"},
		{document.ParseJSON, "json deep", deep, "must nest at most 32 deep"},
		{document.ParseJSON, "json huge number", `{"a": {"b": 1e999}}`, "f:1:13: a.b: number out of range"},
		{document.ParseJSON, "json too large", strings.Repeat(" ", document.MaxSize+1), "f: must be at most 1M"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.parse("f", []byte(c.text))
			if _, ok := errors.AsType[*document.Error](err); !ok {
				t.Fatalf("have %T %v, want a *document.Error", err, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("have %q, want %q in it", err, c.want)
			}
			if strings.HasPrefix(c.want, "f:1:") && !strings.Contains(err.Error(), "\n\t1 | ") && c.text != "" {
				t.Errorf("%q does not show the line", err)
			}
		})
	}
}

func TestOnlyNamesTheNearestKey(t *testing.T) {
	d, err := document.ParseTOML("f", []byte("[pool]\nmaxx = 1\nzebra = 2\nmax = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	d.Root().Table("pool").Only("min", "max")
	want := "f:2:1: pool.maxx: unknown key (did you mean \"pool.max\"?)\n\t2 | maxx = 1\nf:3:1: pool.zebra: unknown key\n\t3 | zebra = 2"
	if got := d.Err().Error(); got != want {
		t.Errorf("have\n%s\nwant\n%s", got, want)
	}
}

func TestTableOfAnotherKind(t *testing.T) {
	d := document.FromMap(map[string]any{"isolate": "process"})
	if d.Root().Table("isolate") != nil || d.Root().Table("absent") != nil {
		t.Error("have a table where there is none")
	}
	if got, want := d.Err().Error(), `isolate: must be a table, have "process"`; got != want {
		t.Errorf("have %q, want %q", got, want)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"pool-limit", "queue-limit", "concurrency", "idle-timeout", "min", "max", "memory"}
	for word, want := range map[string]string{
		"pool-limt":    "pool-limit",
		"pool_limit":   "pool-limit",
		"concurency":   "concurrency",
		"idle":         "idle-timeout",
		"mxa":          "max",
		"memory-limit": "memory",
		"colour":       "",
		"":             "",
	} {
		if got := document.Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestConverters(t *testing.T) {
	seconds := document.Seconds(time.Millisecond)
	duration := document.Duration(0)
	size := document.Size(1)
	number := document.Int(0, 10)
	for _, c := range []struct {
		name      string
		got       func() (any, error)
		want      any
		wantError string
	}{
		{"string", func() (any, error) { return document.String("x") }, "x", ""},
		{"not a string", func() (any, error) { return document.String(int64(5)) }, nil, "must be a string, have 5"},
		{"empty", func() (any, error) { return document.NonEmpty("") }, nil, "must not be empty"},
		{"bool", func() (any, error) { return document.Bool(true) }, true, ""},
		{"not a bool", func() (any, error) { return document.Bool("yes") }, nil, `must be true or false, have "yes"`},
		{"word", func() (any, error) { return document.OneOf("text", "json")("json") }, "json", ""},
		{"other word", func() (any, error) { return document.OneOf("text", "json")("jsn") }, nil, `must be one of text, json, have "jsn" (did you mean "json"?)`},
		{"int", func() (any, error) { return number(int64(3)) }, 3, ""},
		{"uint", func() (any, error) { return number(uint64(3)) }, 3, ""},
		{"whole float", func() (any, error) { return number(3.0) }, 3, ""},
		{"fraction", func() (any, error) { return number(3.5) }, nil, "must be a whole number, have 3.5"},
		{"text for int", func() (any, error) { return number("3") }, nil, `must be a whole number, have "3"`},
		{"null for int", func() (any, error) { return number(nil) }, nil, "must be a whole number, have null"},
		{"NaN", func() (any, error) { return number(math.NaN()) }, nil, "must be a whole number, have NaN"},
		{"too small", func() (any, error) { return number(int64(-1)) }, nil, "must be at least 0, have -1"},
		{"too large", func() (any, error) { return number(uint64(math.MaxUint64)) }, nil, "must be at most 10, have 18446744073709551615"},
		{"seconds", func() (any, error) { return seconds(int64(2)) }, 2 * time.Second, ""},
		{"parts of seconds", func() (any, error) { return seconds(0.0015) }, 2 * time.Millisecond, ""},
		{"no seconds", func() (any, error) { return seconds(int64(0)) }, nil, "must be at least 0.001 seconds, have 0"},
		{"negative seconds", func() (any, error) { return document.Seconds(0)(-0.0001) }, nil, "must be at least 0 seconds, have -0.0001"},
		{"infinite seconds", func() (any, error) { return seconds(math.Inf(1)) }, nil, "must be a number of seconds, have +Inf"},
		{"too many seconds", func() (any, error) { return seconds(1e300) }, nil, "must be at most 3153600000 seconds, have 1e+300"},
		{"duration", func() (any, error) { return duration("1m30s") }, 90 * time.Second, ""},
		{"days", func() (any, error) { return duration("7d") }, 168 * time.Hour, ""},
		{"duration in seconds", func() (any, error) { return duration(int64(5)) }, 5 * time.Second, ""},
		{"no duration", func() (any, error) { return duration("soon") }, nil, `must be a duration such as "30s", have "soon"`},
		{"no days", func() (any, error) { return duration("xd") }, nil, `must be a duration such as "30s", have "xd"`},
		{"many days", func() (any, error) { return duration("4000000000d") }, nil, `must be at most 36500d, have "4000000000d"`},
		{"duration of a list", func() (any, error) { return duration([]any{}) }, nil, `must be a duration such as "30s", have a list`},
		{"negative duration", func() (any, error) { return duration("-1s") }, nil, `must be at least 0s, have "-1s"`},
		{"size", func() (any, error) { return size("256M") }, int64(256 << 20), ""},
		{"size in full", func() (any, error) { return size("1.5KiB") }, int64(1536), ""},
		{"size in bytes", func() (any, error) { return size(int64(100)) }, int64(100), ""},
		{"no size", func() (any, error) { return size("") }, nil, `must be a number of bytes such as "256M", have ""`},
		{"size unit twice", func() (any, error) { return size("5KK") }, nil, `must be a number of bytes such as "256M", have "5KK"`},
		{"size half unit", func() (any, error) { return size("5i") }, nil, `must be a number of bytes such as "256M", have "5i"`},
		{"size NaN", func() (any, error) { return size("NaN") }, nil, `must be a number of bytes such as "256M", have "NaN"`},
		{"size over", func() (any, error) { return size("9999999999G") }, nil, `must be a number of bytes such as "256M", have "9999999999G"`},
		{"size zero", func() (any, error) { return size("0M") }, nil, `must be at least 1, have "0M"`},
		{"strings", func() (any, error) { return document.Strings([]any{"a", "b"}) }, []string{"a", "b"}, ""},
		{"not strings", func() (any, error) { return document.Strings([]any{"a", true}) }, nil, "element 2 must be a string, have true"},
		{"not a list", func() (any, error) { return document.Strings("a") }, nil, `must be a list of strings, have "a"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.got()
			if c.wantError != "" {
				if err == nil || err.Error() != c.wantError {
					t.Fatalf("have %v and error %v, want error %q", got, err, c.wantError)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("have %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestFormatsReadBack(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "1m30s", 30 * time.Second: "30s", 5 * time.Minute: "5m",
		2 * time.Hour: "2h", 48 * time.Hour: "2d", 49 * time.Hour: "49h", time.Hour + time.Second: "1h0m1s",
	} {
		got := document.FormatDuration(d)
		back, err := document.Duration(0)(got)
		if got != want || err != nil || back != d {
			t.Errorf("%v is written %q (want %q) and read back as %v, %v", d, got, want, back, err)
		}
	}
	for n, want := range map[int64]string{0: "0", 1000: "1000", 1024: "1K", 64 << 20: "64M", 3 << 40: "3T", 1<<20 + 1: "1048577"} {
		got := document.FormatSize(n)
		back, err := document.Size(0)(got)
		if got != want || err != nil || back != n {
			t.Errorf("%v is written %q (want %q) and read back as %v, %v", n, got, want, back, err)
		}
	}
}

func TestLongLinesAreCut(t *testing.T) {
	_, err := document.ParseTOML("f", []byte("a = '"+strings.Repeat("ж", 500)+"' x"))
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("have %d bytes of error: %v", len(err.Error()), err)
	}
}

func FuzzTOML(f *testing.F) {
	f.Add([]byte(tomlText))
	f.Add([]byte("[[a.b]]\nc=1\n[[a.b.d]]\n[a.b.d.e]\nf=[{g=1},{g=2}]"))
	f.Add([]byte("a.'b c'.d = {e = [[1,'x'],[]], f=1979-05-27}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := document.ParseTOML("f", text)
		checkParsed(t, d, err)
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"slave": "x", "environment": {"A": "1"}, "l": [1, 2.5, null, {"x": []}]}`))
	f.Add([]byte("{\"a\": \n \"b\"\n, \"c\" : 18446744073709551616 }"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := document.ParseJSON("f", text)
		checkParsed(t, d, err)
	})
}

// checkParsed holds for any input: errors are typed and point into the text,
// and every value of a document has a position.
func checkParsed(t *testing.T, d *document.Document, err error) {
	if err != nil {
		e, ok := errors.AsType[*document.Error](err)
		if !ok {
			t.Fatalf("have %T %v", err, err)
		}
		if e.Line < 0 || e.Line > 0 && e.Column < 1 || e.Reason == "" {
			t.Fatalf("have %#v", e)
		}
		return
	}
	checkLocated(t, d.Root())
}

func checkLocated(t *testing.T, table *document.Table) {
	for key, v := range table.Values() {
		if at := table.Position(key); at.Line < 1 || at.Column < 1 {
			t.Fatalf("%q stands nowhere", key)
		}
		if _, ok := v.(map[string]any); ok {
			checkLocated(t, table.Table(key))
		}
	}
}
