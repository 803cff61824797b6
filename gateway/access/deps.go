package access // holds modules until the code that needs them is here

import (
	_ "github.com/expr-lang/expr"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
)
