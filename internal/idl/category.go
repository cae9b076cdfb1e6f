package idl

import "syscall"

// category is what the table says of one error category.
type category struct {
	name  string
	codes map[int]string
}

// CategoryName returns a readable name of an error category, "unknown" for one that is not in the table.
func CategoryName(id int) string {
	if c, ok := lookupCategory(id); ok {
		return c.name
	}
	return "unknown"
}

// CodeText returns what an error code means, in words for people; empty when the table does not say.
func CodeText(id, code int) string {
	c, _ := lookupCategory(id)
	if text, ok := c.codes[code]; ok {
		return text
	}
	if errnoCategory(id) && code > 0 {
		return syscall.Errno(code).Error()
	}
	return ""
}

// errnoCategory reports whether the codes of the category are errno values.
func errnoCategory(id int) bool {
	return id == CategorySystem || id == CategorySocket || id == CategoryGeneric
}

func lookupCategory(id int) (category, bool) {
	c, ok := categories[id]
	return c, ok
}
