package protocol

// Redemption is the tagger's verdict over a payload and its tag.
type Redemption uint8

// The verdicts of section 2. RedeemOK and RedeemExpired use the tag up; the others
// show that core and tagger disagree.
const (
	RedeemOK       Redemption = iota + 1 // the tag is right, in time, and is used up now
	RedeemMismatch                       // the tag or payload is not what the tagger issued
	RedeemUnknown                        // the tagger has never issued this request
	RedeemUsed                           // the tag was used up or cancelled earlier
	RedeemExpired                        // the deadline has passed on the tagger's clock
	redemptionEnd
)

var redemptionText = [redemptionEnd]string{"", "ok", "mismatch", "unknown", "used", "expired"}

// String returns the name of the verdict.
func (r Redemption) String() string { return nameOf(redemptionText[:], r, "invalid") }
