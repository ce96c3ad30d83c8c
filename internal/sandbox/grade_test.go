package sandbox_test

import (
	"strings"
	"testing"

	"github.com/terradourada/td/internal/sandbox"
)

// best is a posture of grade A.
func best() sandbox.Posture {
	p := sandbox.Posture{Profile: sandbox.Keyholder}
	for _, id := range []string{
		sandbox.KeyMemory, sandbox.KeyCompute, sandbox.Swap, sandbox.Limits, sandbox.NoNewPrivs, sandbox.User,
		sandbox.Dumpable, sandbox.Tracer, sandbox.ParentDeath, sandbox.HugePages, sandbox.Landlock, sandbox.Seccomp, sandbox.SelfTest, sandbox.Core,
	} {
		p.Probes = append(p.Probes, sandbox.Measure(id, sandbox.StateOK, "fine"))
	}
	return p
}

// with changes the states of a posture; the words are "id=state".
func with(t *testing.T, p sandbox.Posture, changes ...string) sandbox.Posture {
	t.Helper()
	text := p.Text()
	for _, c := range changes {
		id, state, _ := strings.Cut(c, "=")
		if state == "absent" {
			text = strings.Replace(text, id+" ok fine\n", "", 1)
			continue
		}
		text = strings.Replace(text, id+" ok ", id+" "+state+" ", 1)
	}
	changed, err := sandbox.ParsePosture(p.Profile, text)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestGrade(t *testing.T) {
	for _, c := range []struct {
		changes string
		want    sandbox.Grade
	}{
		{"", sandbox.GradeA},
		{"key_memory=weak", sandbox.GradeB},
		{"key_compute=weak", sandbox.GradeB},
		{"key_compute=missing", sandbox.GradeB},
		{"landlock=missing", sandbox.GradeB},
		{"landlock=weak", sandbox.GradeB},
		{"user=weak", sandbox.GradeA}, // the core cannot open it
		{"user=missing", sandbox.GradeB},
		{"core=weak", sandbox.GradeB},
		{"core=missing", sandbox.GradeB},
		{"user=weak core=weak", sandbox.GradeB},
		{"user=weak core=missing", sandbox.GradeB},
		{"user=missing core=missing", sandbox.GradeB},
		{"core=missing key_memory=weak", sandbox.GradeB},
		{"user=weak key_compute=weak", sandbox.GradeB},
		{"user=weak key_memory=weak", sandbox.GradeB},
		{"key_memory=weak key_compute=weak", sandbox.GradeC},
		{"key_memory=weak landlock=missing", sandbox.GradeC},
		{"key_compute=weak landlock=missing", sandbox.GradeC},
		{"key_memory=weak key_compute=weak landlock=missing user=weak", sandbox.GradeC},
		{"key_memory=missing", sandbox.GradeC}, // whether there is swap now or not
		{"key_memory=missing swap=weak", sandbox.GradeC},
		{"key_memory=weak swap=weak", sandbox.GradeB},
		{"swap=weak", sandbox.GradeA}, // locked pages are not swapped
		{"dumpable=missing", sandbox.GradeC},
		{"seccomp=missing", sandbox.GradeD},
		{"no_new_privs=missing", sandbox.GradeD},
		{"self_test=missing", sandbox.GradeD},
		{"limits=missing parent_death=missing huge_pages=missing", sandbox.GradeA},

		// What is not known is not there.
		{"key_memory=unknown", sandbox.GradeC},
		{"key_memory=absent", sandbox.GradeC},
		{"key_compute=absent", sandbox.GradeB},
		{"landlock=absent", sandbox.GradeB},
		{"user=unknown", sandbox.GradeB},
		{"core=unknown", sandbox.GradeB},
		{"core=absent", sandbox.GradeB},
		{"user=weak core=absent", sandbox.GradeB},
		{"dumpable=absent", sandbox.GradeC},
		{"tracer=unknown", sandbox.GradeC},
		{"tracer=absent", sandbox.GradeC},
		{"seccomp=absent", sandbox.GradeD},
		{"no_new_privs=unknown", sandbox.GradeD},
		{"self_test=absent", sandbox.GradeD},
	} {
		if got := with(t, best(), strings.Fields(c.changes)...).Grade(); got != c.want {
			t.Errorf("%q: grade %v, want %v", c.changes, got, c.want)
		}
	}
	if got := (sandbox.Posture{Profile: sandbox.Keyholder}).Grade(); got != sandbox.GradeD {
		t.Errorf("nothing known: grade %v", got)
	}
}

func TestGradeOfAProver(t *testing.T) {
	p := best()
	p.Profile = sandbox.Prover
	if got := with(t, p, "key_memory=absent", "key_compute=absent", "core=absent").Grade(); got != sandbox.GradeA {
		t.Errorf("grade %v: a prover has no key", got)
	}
	if got := with(t, p, "landlock=missing").Grade(); got != sandbox.GradeB {
		t.Errorf("grade %v without Landlock", got)
	}
	if got := with(t, p, "user=weak").Grade(); got != sandbox.GradeB {
		t.Errorf("grade %v with the user of the core", got)
	}
}

func TestMeets(t *testing.T) {
	for g := sandbox.GradeNone; g <= sandbox.GradeD; g++ {
		for least := sandbox.GradeA; least <= sandbox.GradeD; least++ {
			if got, want := g.Meets(least), g != sandbox.GradeNone && g <= least; got != want {
				t.Errorf("%v meets %v: %v", g, least, got)
			}
		}
	}
	for _, word := range []string{"", "a", "E", "none", "AB"} {
		if g, err := sandbox.ParseGrade(word); err == nil {
			t.Errorf("%q is grade %v", word, g)
		}
	}
	if g, err := sandbox.ParseGrade("C"); g != sandbox.GradeC || err != nil {
		t.Errorf("C: %v, %v", g, err)
	}
}

func TestShortfall(t *testing.T) {
	for _, c := range []struct {
		changes string
		least   sandbox.Grade
		want    []string // parts; none = no shortfall
	}{
		{"key_memory=weak", sandbox.GradeB, nil},
		{"seccomp=missing", sandbox.GradeD, nil},
		{"key_memory=weak", sandbox.GradeA, []string{"signer has protection grade B but min_grade is A", "key memory is weak (fine)", "RLIMIT_MEMLOCK"}},
		{"key_memory=missing swap=weak user=weak", sandbox.GradeB, []string{"grade C", "key memory is missing", "LimitMEMLOCK"}},
		{"key_compute=weak landlock=missing", sandbox.GradeB, []string{"key compute is weak (fine) and landlock is missing (fine)", "runtimesecret", "lsm="}},
		{"seccomp=absent", sandbox.GradeC, []string{"grade D", "seccomp is unknown (not measured)", "CONFIG_SECCOMP_FILTER"}},
	} {
		got := with(t, best(), strings.Fields(c.changes)...).Shortfall("signer", c.least)
		if (got == "") != (c.want == nil) {
			t.Errorf("%q against %v: %q", c.changes, c.least, got)
		}
		for _, part := range c.want {
			if !strings.Contains(got, part) {
				t.Errorf("%q against %v: %q does not say %q", c.changes, c.least, got, part)
			}
		}
		if strings.ContainsAny(got, "\n") || strings.Contains(got, "user is") {
			t.Errorf("%q against %v: %q names too much", c.changes, c.least, got)
		}
	}
}

func TestPostureText(t *testing.T) {
	text := best().Text()
	p, err := sandbox.ParsePosture(sandbox.Keyholder, text)
	if err != nil || p.Text() != text || len(p.Probes) != 14 {
		t.Fatalf("%d probes, %v", len(p.Probes), err)
	}
	odd := sandbox.Posture{Probes: []sandbox.Probe{{ID: "swap", Value: "two\nlines é" + strings.Repeat("x", 300)}, {ID: "user"}}}
	if p, err := sandbox.ParsePosture(sandbox.Keyholder, odd.Text()); err != nil || p.Text() != odd.Text() {
		t.Errorf("a value that does not fit a line: %v", err)
	}
	for _, bad := range []string{
		"swap ok none", "swap ok\n", "swap ok \n", "swap fine none\n", "Swap ok none\n", " ok none\n", "swap ok a\tb\n",
		"swap ok none\nswap ok none\n", "swap ok n\xc3\xa9\n", "\n", strings.Repeat("x", 33) + " ok a\n",
		"swap ok " + strings.Repeat("x", 201) + "\n", "swap ok " + strings.Repeat("x", 5000) + "\n",
	} {
		if p, err := sandbox.ParsePosture(sandbox.Keyholder, bad); err == nil {
			t.Errorf("%.40q is a posture: %v", bad, p)
		}
	}
}

func FuzzPosture(f *testing.F) {
	f.Add(best().Text())
	f.Add("swap ok\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := sandbox.ParsePosture(sandbox.Keyholder, text)
		if err == nil && p.Text() != text {
			t.Errorf("%q comes back as %q", text, p.Text())
		}
	})
}
