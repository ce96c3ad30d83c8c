package anomaly

import (
	"math"
	"time"
)

type SeriesSettings struct {
	LevelHalfLife, ScaleHalfLife, GaussHalfLife, RecordHalfLife float64
	Slack, Reset, Clip, Threshold                               float64
	Hold, Warmup                                                int
	FZ, FC, FG                                                  float64
	CZ, CC, CG                                                  float64
	UseZ, UseC, UseG                                            bool
	RelScale                                                    float64
	Mode                                                        int
	Alpha                                                       float64
	Grow, CClip                                                 float64
	Clamp                                                       bool
	Start                                                       int
	HoldAt                                                      float64
	GLin                                                        bool
}

func DefaultSeries() SeriesSettings {
	return SeriesSettings{1000, 1500, 3000, 5000, 1.5, 60, 8, 1.08, 100, 150, 3, 10, 3, 1e18, 1e18, 1e18, true, true, true, 1e-6, 0, 0, 1e18, 8, false, 20, 1, false}
}

type SeriesDetector struct {
	s                                          SeriesSettings
	n                                          int
	level, scale, gm, gv, up, down, rz, rc, rg float64
	held                                       float64
	left                                       int
}

func NewSeries(s SeriesSettings) *SeriesDetector { return &SeriesDetector{s: s} }

func rate(h float64, n int) float64 {
	return max(1-math.Exp2(-1/h), 1/float64(n+1))
}

func (d *SeriesDetector) Observe(_ time.Time, x float64) float64 {
	s := &d.s
	y := math.Copysign(math.Log1p(math.Abs(x)), x)
	if s.GLin {
		y = x
	}
	if d.n == 0 {
		d.level, d.gm = x, y
	}
	r := x - d.level
	scale := max(d.scale, s.RelScale*math.Abs(d.level), 1e-9)
	z := r / scale
	zc := max(-s.Clip, min(s.Clip, z))
	sd := max(math.Sqrt(d.gv), 1e-6)
	g := math.Abs(y-d.gm) / sd
	zz := max(-s.CClip, min(s.CClip, z))
	_ = zc
	a := 0.0
	var c float64
	if d.n >= s.Start {
		d.up = max(0, d.up+zz-s.Slack)
		d.down = max(0, d.down-zz-s.Slack)
		c = max(d.up, d.down)
		if s.Mode == 1 {
			c = min(c, s.Reset)
		}
		if c >= s.Reset {
			if s.Clamp {
				d.up, d.down = min(d.up, s.Reset), min(d.down, s.Reset)
			} else {
				d.up, d.down = 0, 0
			}
		}
		if s.UseZ {
			a = max(a, math.Abs(z)/max(s.FZ, min(d.rz, s.CZ)))
		}
		if s.UseC {
			a = max(a, c/max(s.FC, min(d.rc, s.CC)))
		}
		if s.UseG {
			a = max(a, g/max(s.FG, min(d.rg, s.CG)))
		}
		dec := math.Exp2(-1 / s.RecordHalfLife)
		d.rz = max(d.rz*dec, min(math.Abs(z), s.Grow*max(d.rz, s.FZ)))
		d.rc = max(d.rc*dec, c)
		d.rg = max(d.rg*dec, min(g, s.Grow*max(d.rg, s.FG)))
	}
	// learn
	lim := math.Inf(1)
	if d.n >= 20 {
		lim = s.Clip * scale
	}
	rr := max(-lim, min(lim, r))
	d.level += rate(s.LevelHalfLife, d.n) * rr
	d.scale += rate(s.ScaleHalfLife, d.n) * (math.Abs(rr) - d.scale)
	w := rate(s.GaussHalfLife, d.n)
	dy := y - d.gm
	d.gm += w * dy
	d.gv = (1 - w) * (d.gv + w*dy*dy)
	d.n++
	if d.n <= s.Warmup {
		return 0
	}
	if d.left > 0 {
		d.left--
		if a <= d.held {
			return 0
		}
	}
	if a >= s.HoldAt {
		d.held, d.left = a, s.Hold
	}
	return a
}
