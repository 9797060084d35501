package chaos

var (
	paymentOnly   = []string{"payment"}
	chargesOption = func(share string) Option {
		return Option{Name: "share", Kind: Share, Default: share, Summary: "of the charges"}
	}
)
