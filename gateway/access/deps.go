package access // holds modules until the code that needs them is here

import (
	_ "github.com/go-jose/go-jose/v4/jwt"
	_ "github.com/xdg-go/scram"
)
