package messengertest

import (
	"context"
	"math/rand/v2"
	"time"
)

// Chatter is a crowd of customers who keep writing to pages and answer what is written to them.
// Random is used by the goroutine of Run alone.
type Chatter struct {
	Graph     *Graph
	Pages     []*Page
	Customers int           // per page; 0: 5
	Every     time.Duration // between two messages of the crowd, by the simulator's clock; 0: 5 s
	Random    *rand.Rand    // nil: a new one
}

// customer is one of the crowd, somewhere in their conversation.
type customer struct {
	*Person
	speech   speech
	next     int // line
	answered int // of the messages they received
}

// Run adds the customers and has them write until ctx ends.
func (c *Chatter) Run(ctx context.Context) {
	crowd := c.gather()
	every := c.Every
	if every <= 0 {
		every = 5 * time.Second
	}
	clock := c.Graph.Clock()
	for len(crowd) > 0 {
		c.choose(crowd).speak(c.Random)
		if clock.Until(ctx, clock.Now().Add(every)) != nil {
			return
		}
	}
}

func (c *Chatter) gather() []*customer {
	if c.Random == nil {
		c.Random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if c.Customers <= 0 {
		c.Customers = 5
	}
	var crowd []*customer
	for _, page := range c.Pages {
		for range c.Customers {
			s := speeches[len(crowd)%len(speeches)]
			who := page.AddPerson(Person{FirstName: pick(c.Random, s.first), LastName: pick(c.Random, s.last), Locale: s.locale})
			crowd = append(crowd, &customer{Person: who, speech: s})
		}
	}
	return crowd
}

// choose prefers those who were written to since they last spoke.
func (c *Chatter) choose(crowd []*customer) *customer {
	start := c.Random.IntN(len(crowd))
	for i := range crowd {
		if who := crowd[(start+i)%len(crowd)]; who.Received() > who.answered {
			return who
		}
	}
	return crowd[start]
}

// speak answers what was received, or goes on with what the customer came for; sometimes with a picture.
func (c *customer) speak(random *rand.Rand) {
	if received := c.Received(); received > c.answered {
		c.answered = received
		c.Reads()
		c.Writes(pick(random, c.speech.answers))
		return
	}
	c.Writes(c.speech.lines[c.next%len(c.speech.lines)])
	if c.next++; random.IntN(8) == 0 {
		c.SendsImage("https://scontent.xx.fbcdn.net/v/t1.15752-9/" + c.ID + ".jpg")
	}
}

func pick(random *rand.Rand, from []string) string { return from[random.IntN(len(from))] }

// speech is how customers of one language talk.
type speech struct {
	locale         string
	first, last    []string
	lines, answers []string
}

var speeches = []speech{
	{"en_GB", []string{"Ann", "Oliver", "Priya", "Tom"}, []string{"Lee", "Hughes", "Patel", "Walker"},
		[]string{"Hello, is anyone there?", "My order has not arrived yet.", "It was supposed to come on Monday.",
			"Can I still change the delivery address?", "I have been waiting for three days now 😕"},
		[]string{"Thanks, that helps!", "OK, and how long will it take?", "Perfect 👍", "I don't quite understand, sorry."}},
	{"de_DE", []string{"Jürgen", "Anna", "Zoë", "Lukas"}, []string{"Müller", "Weiß", "Schäfer", "König"},
		[]string{"Guten Tag!", "Ich hätte eine Frage zu meiner Rechnung.", "Der Betrag stimmt nicht, es sind 49,90 € zu viel.",
			"Könnten Sie das bitte prüfen?", "Wann kann ich mit einer Antwort rechnen?"},
		[]string{"Vielen Dank!", "Alles klar.", "Das verstehe ich leider nicht.", "Super, danke für die schnelle Hilfe 🙂"}},
	{"uk_UA", []string{"Олена", "Андрій", "Ірина", "Тарас"}, []string{"Шевченко", "Коваль", "Бондар", "Мельник"},
		[]string{"Добрий день!", "Підкажіть, будь ласка, чи є цей товар у наявності?", "Мені потрібен розмір M.",
			"А доставка до Львова є?", "Скільки це коштуватиме?"},
		[]string{"Дякую!", "Зрозуміло, дякую за допомогу.", "Добре, чекаю 🙏", "А можна швидше?"}},
	{"es_ES", []string{"Lucía", "Iñaki", "Sofía", "Martín"}, []string{"García", "Muñoz", "López", "Núñez"},
		[]string{"¡Hola! ¿Hay alguien?", "Quiero devolver un pedido.", "El paquete llegó roto 😡",
			"¿Qué tengo que hacer?", "¿Me devolverán el dinero?"},
		[]string{"¡Muchas gracias!", "Vale, perfecto.", "¿Y cuánto tarda?", "Entendido 👌"}},
	{"ar_AR", []string{"ليلى", "عمر", "سارة"}, []string{"حداد", "منصور", "خوري"},
		[]string{"مرحبا", "أريد أن أسأل عن طلبي", "متى يصل؟", "هل يمكن الدفع عند الاستلام؟"},
		[]string{"شكرا جزيلا", "حسنا", "كم يستغرق ذلك؟"}},
}
